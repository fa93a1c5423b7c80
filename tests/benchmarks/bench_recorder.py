"""What recording costs a training loop: the same loop with a Recorder and without, and how a record's cost grows.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_recorder.py

A step of gradient descent stands for an epoch, so that the share of the Recorder is as large as it gets. "without
probes" is a record that evaluates loss and accuracy on both splits and appends to the journal.
"""

from __future__ import annotations

import tempfile
import time
from itertools import pairwise

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

import elastic

SAMPLES, BATCH = 1200, 64
RECORDS = (100, 1000, 3000)


def data() -> tuple[torch.Tensor, torch.Tensor]:
    x, y = (torch.tensor(part) for part in load_digits(return_X_y=True))
    return x.float() / 16, y


def network() -> nn.Sequential:
    torch.manual_seed(0)
    sizes = [64, 256, 256, 256]
    hidden = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(sizes[-1], 10))


def epoch(net: nn.Module, optimizer: torch.optim.Optimizer, x: torch.Tensor, y: torch.Tensor) -> None:
    for batch in torch.randperm(SAMPLES).split(BATCH):
        optimizer.zero_grad()
        functional.cross_entropy(net(x[batch]), y[batch]).backward()
        optimizer.step()


def trained(epochs: int, *, recorded: bool) -> tuple[float, dict[str, float]]:
    """Return the seconds of a training of real epochs, and where those of the Recorder went."""
    (x, y), net = data(), network()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    if not recorded:
        begun = time.perf_counter()
        for _ in range(epochs):
            epoch(net, optimizer, x, y)
        return time.perf_counter() - begun, {}
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        train, test = (x[:SAMPLES], y[:SAMPLES]), (x[SAMPLES:], y[SAMPLES:])
        with elastic.Recorder(folder, net, train=train, test=test, epochs=epochs) as recorder:
            for number in range(epochs + 1):
                if number:
                    epoch(net, optimizer, x, y)
                recorder.record(number, lr=0.1)
        return time.perf_counter() - begun, dict(recorder.seconds)


def records(count: int) -> float:
    """Return the milliseconds of one of the last records of many, without probes."""
    (x, y), net = data(), network()
    with tempfile.TemporaryDirectory() as folder:
        recorder = elastic.Recorder(
            folder, net, train=(x[:SAMPLES], y[:SAMPLES]), probes={"at": [0], "collapse": None, "elasticity": None}
        )
        for number in range(count - 50):
            recorder.record(number, lr=0.1)
        begun = time.perf_counter()
        for number in range(count - 50, count):
            recorder.record(number, lr=0.1)
        return (time.perf_counter() - begun) / 50 * 1e3


def main() -> None:
    epochs = 100
    plain, _ = trained(epochs, recorded=False)
    whole, parts = trained(epochs, recorded=True)
    print(
        f"{epochs} epochs of {SAMPLES} samples: {plain:.2f} s alone, {whole:.2f} s recorded ({whole / plain:.2f} times)"
    )
    print("  of which " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in sorted(parts.items())))
    for count in RECORDS:
        print(f"record {count}, without probes: {records(count):.2f} ms")


if __name__ == "__main__":
    main()
