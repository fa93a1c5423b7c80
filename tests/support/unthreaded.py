"""Zarr without its thread: what it awaits is done by the thread that asks, to the same numbers and the same bytes."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import Future

handed_over, in_a_thread = asyncio.run_coroutine_threadsafe, asyncio.to_thread

#: The event loop of each process: a forked child makes one of its own.
loops: dict[int, asyncio.AbstractEventLoop] = {}


def done_at_once(coroutine, loop):
    """Run a coroutine to its end, in the main thread; hand it over as ever where that is in a loop already."""
    if threading.current_thread() is not threading.main_thread() or asyncio._get_running_loop() is not None:
        return handed_over(coroutine, loop)
    future: Future = Future()
    own = loops.get(os.getpid()) or loops.setdefault(os.getpid(), asyncio.new_event_loop())
    future.set_result(own.run_until_complete(coroutine))
    return future


async def called_at_once(function, /, *args, **kwargs):
    """Call a function, in the thread of the loop where that is one of `loops`."""
    if asyncio.get_running_loop() is loops.get(os.getpid()):
        return function(*args, **kwargs)
    return await in_a_thread(function, *args, **kwargs)


def close():
    """Close the loop of this process."""
    if loop := loops.pop(os.getpid(), None):
        loop.close()
