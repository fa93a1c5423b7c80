"""Collapse metrics: the projections of elastic beside two d×d ways, and how cost grows in d, N and K.

    python tests/benchmarks/bench_collapse.py

One d×d peer is in float64 with an explicit cut, so that it is right. The other does what rhubarbwu/neural-collapse
does: accumulators in float32 that read the features twice, batch by batch, and `pinv` as torch cuts it by default; a
second table holds it to the truth. Times are medians of interleaved runs in one process; memory is what the measure
adds to the process's peak, each measured in a process of its own.
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


def clustered(N: int, d: int, K: int, spread: float = 0.3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(N) % K
    means = torch.randn(K, d, generator=generator)
    return means[labels] + spread * torch.randn(N, d, generator=generator), labels


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


def by_accumulators(features: torch.Tensor, labels: torch.Tensor, K: int) -> float:
    d, batch = features.shape[1], 1024
    indicator = torch.nn.functional.one_hot(labels, K).float()
    totals, counts = torch.zeros(K, d), indicator.sum(0)
    for f, y in zip(features.split(batch), indicator.split(batch), strict=True):
        totals += y.T @ f
    means = totals / counts[:, None]
    within = torch.zeros(d, d)
    for f, y in zip(features.split(batch), labels.split(batch), strict=True):
        z = f - means[y]
        within += z.T @ z
    centred = means - means.mean(0)
    between = centred.T @ centred / K
    return (torch.trace(within / len(features) @ torch.linalg.pinv(between)) / K).item()


def seconds(function, *arguments) -> float:
    begun = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - begun


def compare(repeats: int) -> None:
    ways = {"projection": by_projection, "d×d, float64": by_pinv, "accumulators, float32": by_accumulators}
    print("| d | " + " | ".join(f"{way} | over ours" for way in ways) + " |")
    print("|---" * (1 + 2 * len(ways)) + "|")
    for d, N, K in [(512, 4000, 10), (1024, 4000, 10), (2048, 4000, 10), (4096, 4000, 10)]:
        data = (*clustered(N, d, K), K)
        rounds = [[seconds(way, *data) for way in ways.values()] for _ in range(repeats if d < 4096 else 1)]
        cells = []
        for taken in zip(*rounds, strict=True):
            ratio = statistics.median(t / first[0] for t, first in zip(taken, rounds, strict=True))
            cells.append(f"{statistics.median(taken):.3f} s | {ratio:.1f}")
        print(f"| {d} | " + " | ".join(cells) + " |", flush=True)


def compare_digits() -> None:
    """Print nc1 by each way where the class means decay: the j-th direction of their spread is ``decay``^j as wide."""
    print("\n| d | K | spread | decay | offset | d×d, float64 | projection | accumulators, float32 |")
    print("|---" * 8 + "|")
    for d, spread, decay, offset in [
        (512, 0.3, 1.0, 0), (512, 0.01, 1.0, 1), (512, 0.01, 0.5, 1), (512, 0.01, 0.3, 1), (2048, 0.01, 0.3, 1),
        (10, 0.01, 1.0, 0), (10, 0.01, 1.0, 1), (10, 0.01, 1.0, 10),
    ]:  # fmt: skip
        features, labels = clustered(4000, d, 10, spread)
        if decay < 1:
            noise, _ = clustered(4000, d, 10, spread)
            means = torch.stack([noise[labels == k].mean(0) for k in range(10)])
            U, S, V = torch.linalg.svd(means, full_matrices=False)
            features = features - means[labels] + ((U * S * decay ** torch.arange(10)) @ V)[labels]
        features = features + offset
        result = (f"{way(features, labels, 10):.4g}" for way in (by_pinv, by_projection, by_accumulators))
        print(f"| {d} | 10 | {spread:g} | {decay:g} | {offset} | " + " | ".join(result) + " |", flush=True)


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
    compare_digits()
    growth(asked.repeats)
    streamed()
