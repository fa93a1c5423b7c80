"""A GPU beside the processor: training, probes, block sizes, TF32, and steps of many small networks on one card.

    python tests/benchmarks/bench_device.py [--device cuda] [--out tests/benchmarks/results] [--only steps training …]

Each section has a limit of its own and is guarded: one that fails or takes too long is told, and the others are kept.
Results are written after each section, as ``device.json`` (every number, with the card's name) and ``device.md``.
"""

from __future__ import annotations

import argparse
import copy
import datetime
import json
import multiprocessing
import os
import platform
import signal
import statistics
import time
import traceback
from contextlib import contextmanager, nullcontext
from pathlib import Path

import bench_engines as engines
import torch
from torch.func import functional_call, grad, vmap

from elastic.data.contract import Samples
from elastic.losses import build_loss
from elastic.models.building import build_model
from elastic.models.contract import Task
from elastic.models.products import products, tf32_in_measurements
from elastic.optimizers import build_optimizer
from elastic.training import Randomness, Trainer, build_objective

ROOT = Path(__file__).parents[2]
QUICKSTART = {"widths": [256] * 5, "norm": "batch"}
SGD = {"lr": 0.03, "momentum": 0.9, "weight_decay": 2e-2}

#: By name: (model, options, shape of an input, samples, batch size).
TRAINED = {
    "quickstart": ("mlp", QUICKSTART, (1, 8, 8), 1437, 64),
    "cnn": ("cnn", {"channels": [32, 64, 128]}, (1, 28, 28), 2000, 128),
    "resnet18": ("resnet", {}, (3, 32, 32), 512, 128),
}


def synchronize(device):
    if device != "cpu":
        torch.cuda.synchronize()


@contextmanager
def limited(seconds):
    """Raise a TimeoutError in a block that takes longer."""

    def stop(*_):
        raise TimeoutError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def best(function, device, least=0.5, rounds=3):
    """Return the median seconds of a call over some rounds of at least so many seconds, after a warm-up."""
    function()
    synchronize(device)
    taken = []
    for _ in range(rounds):
        begun, calls = time.perf_counter(), 0
        while not calls or time.perf_counter() - begun < least / rounds:
            function()
            synchronize(device)
            calls += 1
        taken.append((time.perf_counter() - begun) / calls)
    return statistics.median(taken)


def trainer(name, device, deterministic=True):
    """Return the product's trainer of a network on random samples."""
    model, options, shape, count, batch = TRAINED[name]
    draw = torch.Generator().manual_seed(0)
    inputs, labels = torch.randn(count, *shape, generator=draw).to(device), (torch.arange(count) % 10).to(device)
    torch.manual_seed(0)
    net = build_model(model, options, Task(shape, 10)).to(device)
    samples = Samples(inputs, labels, tuple(range(10)))
    objective = build_objective(net, build_loss("cross_entropy"), {}, SGD["weight_decay"])
    optimizer = build_optimizer("sgd", SGD, net.parameters())
    randomness = Randomness(0, torch.device(device))
    return Trainer(objective, optimizer, lambda _: 1.0, {"train": samples}, 10**9, batch, randomness, deterministic)


def training(device, found):
    """Seconds of an epoch: on the processor with all threads and one, on the device with and without TF32."""
    rows = found["seconds an epoch"] = {}
    for name, (_, _, _, count, batch) in TRAINED.items():
        ways = {"cpu, 1 thread": ("cpu", False, True), "cpu, all threads": ("cpu", False, True)}
        if device != "cpu":
            ways |= {
                device: (device, False, True), f"{device}, TF32": (device, True, True),
                f"{device}, not deterministic": (device, False, False),
            }  # fmt: skip
        for way, (place, tf32, deterministic) in ways.items():
            threads = torch.get_num_threads()
            torch.set_num_threads(1 if "1 thread" in way else os.cpu_count())
            if name == "resnet18" and "1 thread" in way:
                continue
            with products(tf32=tf32):
                rows[f"{name}, {count} samples, batches of {batch}: {way}"] = best(
                    trainer(name, place, deterministic).train_epoch, place, least=0.3, rounds=2
                )
            torch.set_num_threads(threads)


def probes(device, found):
    """Seconds of a whole movement pass: both engines and the loop of copies, on the processor and the device."""
    rows = found["seconds a pass"] = {}
    for name in engines.CASES:
        for place in dict.fromkeys(("cpu", device)):
            given = engines.problem(name, device=place)
            ways = {
                "structured": engines.engine("structured", given),
                "autodiff": engines.engine("autodiff", given),
                "copy, step, forward, subtract": engines.loop,
            }
            for way, function in ways.items():
                if place == "cpu" and name == "resnet18" and way == "autodiff":
                    continue
                run = lambda f=function, g=given: [None for _ in f(*g)]  # noqa: E731
                rows[f"{name}, {place}: {way}"] = best(run, place, least=0.2, rounds=2)


def blocks(device, found):
    """Seconds of a movement pass by the bytes of a block: what ``cached`` of the engines should be."""
    rows = found["seconds a pass"] = {}
    for name, (_, _, J, M) in engines.CASES.items() if device != "cpu" else ():
        given = engines.problem(name, 2 * J, 2 * M, device=device)
        for engine in ("structured", "autodiff"):
            for power in (26, 28, 30):
                function = engines.engine(engine, given, cached=2**power)
                run = lambda f=function, g=given: [None for _ in f(*g)]  # noqa: E731
                rows[f"{name}, {engine}, blocks of 2^{power} bytes"] = best(run, device, least=0.1, rounds=1)


def tf32(device, found):
    """Error of movements against float64: float32 products, and TF32 asked for; seconds of both."""
    rows = found["largest relative error of a layer"] = {}
    seconds = found["seconds a pass"] = {}
    for name in engines.CASES:
        model, stepped, observed = engines.problem(name, 4, 16, device=device)
        exact = collected(copy.deepcopy(model).double(), (stepped[0].double(), stepped[1]), observed.double())
        for asked in (False, True):
            with tf32_in_measurements(asked):
                near = collected(model, stepped, observed)
                errors = [
                    (torch.linalg.vector_norm(near[layer] - h) / torch.linalg.vector_norm(h)).item()
                    for layer, h in exact.items()
                ]
                rows[f"{name}: {'TF32' if asked else 'float32'}"] = max(errors)
                given = engines.problem(name, device=device)
                function = engines.engine("structured", given)
                run = lambda f=function, g=given: [None for _ in f(*g)]  # noqa: E731
                seconds[f"{name}: {'TF32' if asked else 'float32'}"] = best(run, device, least=0.2, rounds=2)


def collected(*given):
    """Return the movements of all pairs by layer, in float64."""
    collected = {}
    for block in engines.engine("structured", given)(*given):
        for layer, moved in block.moved.items():
            collected.setdefault(layer, []).append((moved.double() * block.scale[:, None, None]).flatten())
    return {layer: torch.cat(parts) for layer, parts in collected.items()}


def step_of(device, seed=0):
    """Return a function that takes one bare training step of the quickstart's network."""
    torch.manual_seed(seed)
    net = build_model("mlp", QUICKSTART, Task((1, 8, 8), 10)).to(device)
    x, y = torch.randn(64, 1, 8, 8, device=device), torch.arange(64, device=device) % 10
    optimizer = torch.optim.SGD(net.parameters(), **SGD)

    def step():
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()

    return step


def stacked_step_of(device, seeds):
    """Return a function that takes one step of so many networks at the same time, by ``vmap``."""
    torch.manual_seed(0)
    nets = [build_model("mlp", QUICKSTART, Task((1, 8, 8), 10)).to(device).train() for _ in range(seeds)]
    parameters, buffers = torch.func.stack_module_state(nets)
    base = copy.deepcopy(nets[0])
    x, y = torch.randn(seeds, 64, 1, 8, 8, device=device), (torch.arange(64, device=device) % 10).expand(seeds, 64)
    optimizer = torch.optim.SGD(list(parameters.values()), **SGD)

    def risk(parameters, buffers, x, y):
        return torch.nn.functional.cross_entropy(functional_call(base, (parameters, buffers), (x,)), y)

    def step():
        gradients = vmap(grad(risk))({n: p.detach() for n, p in parameters.items()}, buffers, x, y)
        for name, parameter in parameters.items():
            parameter.grad = gradients[name]
        optimizer.step()

    return step


def graphed_step_of(device):
    """Return a function that replays one step, recorded as a CUDA graph."""
    step = step_of(device)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(5):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def steps_in_process(device, barrier, answer):
    """Put how many steps a second this process takes, while others take theirs."""
    torch.set_num_threads(1)
    step = step_of(device)
    for _ in range(20):
        step()
    synchronize(device)
    barrier.wait(timeout=90)
    begun, steps = time.perf_counter(), 0
    while time.perf_counter() - begun < 3.0:
        for _ in range(10):
            step()
        synchronize(device)
        steps += 10
    answer.put(steps / (time.perf_counter() - begun))


def processes(device, count):
    """Return the steps a second of so many processes together."""
    context = multiprocessing.get_context("spawn")
    barrier, answer = context.Barrier(count), context.Queue()
    started = [context.Process(target=steps_in_process, args=(device, barrier, answer)) for _ in range(count)]
    try:
        for process in started:
            process.start()
        return sum(answer.get(timeout=100) for _ in started)
    finally:
        for process in started:
            if process.pid is not None:
                process.kill()


def steps(device, found):
    """Steps a second of the quickstart's network: one by one, stacked by ``vmap``, as a graph, in processes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    rows = found["steps a second"] = {}
    rows["one by one"] = 1 / best(step_of(device), device)
    for seeds in (4, 16, 64):
        rows[f"{seeds} seeds by vmap"] = seeds / best(stacked_step_of(device, seeds), device)
    if device != "cpu":
        with guarded(rows, "as a CUDA graph"):
            rows["as a CUDA graph"] = 1 / best(graphed_step_of(device), device)
    torch.set_num_threads(threads)
    for count in (4, 12) if device != "cpu" else (2,):
        with guarded(rows, f"{count} processes"):
            rows[f"{count} processes"] = processes(device, count)


@contextmanager
def guarded(rows, name):
    """Note an error in place of a number."""
    try:
        yield
    except TimeoutError:
        raise
    except Exception as error:
        rows[name] = f"{type(error).__name__}: {error}"


#: By name: (section, seconds that it may take).
SECTIONS = {
    "steps": (steps, 75), "training": (training, 45), "probes": (probes, 60),
    "blocks": (blocks, 60), "tf32": (tf32, 30),
}  # fmt: skip


def machine(device):
    name = torch.cuda.get_device_name() if device.startswith("cuda") else platform.processor() or platform.machine()
    return {
        "device": name, "cores": os.cpu_count(), "torch": torch.__version__, "cuda": torch.version.cuda,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes"),
    }  # fmt: skip


def markdown(results):
    """Return the results as tables."""
    facts = results["machine"]
    lines = [f"# {facts['device']}, {facts['cores']} cores, torch {facts['torch']}, {facts['date']}", ""]
    for name, section in results["sections"].items():
        lines += [f"## {name}: {SECTIONS[name][0].__doc__.partition(chr(10))[0]}", ""]
        for title, rows in section.items():
            if isinstance(rows, dict):
                lines += [f"| | {title} |", "|---|---|"]
                lines += [f"| {key} | {f'{v:.4g}' if isinstance(v, float) else v} |" for key, v in rows.items()]
            else:
                lines.append(f"{title}: {rows}")
            lines.append("")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--only", nargs="*", default=list(SECTIONS), choices=list(SECTIONS))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    results = {"machine": machine(options.device), "sections": {}}
    for name in options.only:
        section, seconds = SECTIONS[name]
        begun = time.perf_counter()
        try:
            with limited(seconds) if options.device != "cpu" else nullcontext():
                section(options.device, results["sections"].setdefault(name, {}))
        except Exception:
            results["sections"][name]["failed"] = traceback.format_exc(limit=-3)
        print(f"{name}: {time.perf_counter() - begun:.1f} s", flush=True)
        (options.out / "device.json").write_text(json.dumps(results, indent=1))
        (options.out / "device.md").write_text(markdown(results))
    print(markdown(results))


if __name__ == "__main__":
    main()
