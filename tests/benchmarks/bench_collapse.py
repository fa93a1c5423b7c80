"""Collapse metrics: the projections of elastic beside the d×d way, and how cost grows in d, N and K.

    python tests/benchmarks/bench_collapse.py

The d×d peer accumulates the covariances and calls pinv, as public packages do (here in float64, so that it is
right). Times are medians of interleaved runs in one process; memory is what the measure adds to the process's peak,
each measured in a process of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import statistics
import time
from pathlib import Path

import torch

from elastic.metrics.class_statistics import read_classes
from elastic.metrics.collapse import nc1
from elastic.metrics.separation import fuzziness


def clustered(N: int, d: int, K: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(N) % K
    means = torch.randn(K, d, generator=generator)
    return means[labels] + 0.3 * torch.randn(N, d, generator=generator), labels


def stream_of(features: torch.Tensor, labels: torch.Tensor, batch: int = 1024):
    return lambda: (({"layer": f}, y) for f, y in zip(features.split(batch), labels.split(batch), strict=True))


def by_projection(features: torch.Tensor, labels: torch.Tensor, K: int) -> float:
    statistics_ = read_classes(stream_of(features, labels), K)["layer"].statistics
    fuzziness(statistics_)
    return nc1(statistics_).item()


def by_pinv(features: torch.Tensor, labels: torch.Tensor, K: int) -> float:
    h = features.double()
    means = torch.stack([h[labels == k].mean(0) for k in range(K)])
    within = torch.zeros(h.shape[1], h.shape[1], dtype=torch.float64)
    for f, y in zip(h.split(1024), labels.split(1024), strict=True):
        z = f - means[y]
        within += z.T @ z / len(h)
    centred = means - means.mean(0)
    between = centred.T @ centred / K
    return (torch.trace(within @ torch.linalg.pinv(between, rtol=1e-10, hermitian=True)) / K).item()


def seconds(function, *arguments) -> float:
    begun = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - begun


def compare(repeats: int) -> None:
    print("| d | N | K | projection | d×d, pinv | ratio | nc1 by projection | by pinv |")
    print("|---|---|---|---|---|---|---|---|")
    for d, N, K in [(512, 4000, 10), (1024, 4000, 10), (2048, 4000, 10), (4096, 4000, 10)]:
        data = (*clustered(N, d, K), K)
        pairs = [(seconds(by_projection, *data), seconds(by_pinv, *data)) for _ in range(repeats if d < 4096 else 1)]
        ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(b / a for a, b in pairs)
        values = f"{by_projection(*data):.6g} | {by_pinv(*data):.6g}"
        print(f"| {d} | {N} | {K} | {ours:.3f} s | {theirs:.3f} s | {ratio:.1f} | {values} |")


def growth(repeats: int) -> None:
    print("\n| varied | d | N | K | seconds |")
    print("|---|---|---|---|---|")
    base = {"d": 1024, "N": 4000, "K": 10}
    for name, values in {"d": (1024, 4096, 16384), "N": (4000, 16000, 64000), "K": (10, 100, 1000)}.items():
        for value in values:
            size = {**base, name: value}
            data = (*clustered(size["N"], size["d"], size["K"]), size["K"])
            taken = statistics.median(seconds(by_projection, *data) for _ in range(repeats))
            print(f"| {name} | {size['d']} | {size['N']} | {size['K']} | {taken:.3f} |")


def peak_memory() -> float:
    """MiB at the most so far; the kernel's own count, which begins anew with the process (ru_maxrss does not)."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def _wide(N: int, connection) -> None:
    d, K, batch = 65_536, 10, 128

    def stream():
        generator = torch.Generator().manual_seed(0)
        for start in range(0, N, batch):
            y = torch.arange(start, min(start + batch, N)) % K
            yield {"layer": torch.randn(len(y), d, generator=generator) + y[:, None]}, y

    before = peak_memory()
    taken = seconds(lambda: nc1(read_classes(stream, K)["layer"].statistics))
    connection.send((taken, peak_memory() - before))


def streamed() -> None:
    print("\n| d | N | K | seconds, both passes | peak memory added |")
    print("|---|---|---|---|---|")
    for N in (2_500, 10_000):
        receiving, sending = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(target=_wide, args=(N, sending))
        process.start()
        taken, added = receiving.recv()
        process.join()
        print(f"| 65536 | {N} | 10 | {taken:.1f} | {added:.0f} MiB |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    compare(asked.repeats)
    growth(asked.repeats)
    streamed()
