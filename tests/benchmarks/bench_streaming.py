"""Memory of the collapse of a model from a loader: features that are made when they are read, never held together.

    python tests/benchmarks/bench_streaming.py --gigabytes 20

Prints how large the features of all samples would be, how much the measurement adds to the peak of the process, and
the peak itself; then a number that is known beforehand beside the one that was measured.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Iterator

import torch
from torch import nn

from elastic import measure_collapse

#: ru_maxrss counts kilobytes, but on macOS bytes.
UNIT = 1e6 if sys.platform == "darwin" else 1e3


class Virtual:
    """Batches of features around class means, each of which is made of its number when it is asked for."""

    def __init__(self, count: int, width: int, classes: int, batch: int, spread: float = 0.5) -> None:
        self.count, self.width, self.classes, self.batch, self.spread = count, width, classes, batch, spread
        self.means = torch.randn(classes, width, generator=torch.Generator().manual_seed(0))

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for start in range(0, self.count, self.batch):
            labels = torch.arange(start, min(start + self.batch, self.count)) % self.classes
            noise = torch.randn(len(labels), self.width, generator=torch.Generator().manual_seed(start + 1))
            yield self.means[labels] + self.spread * noise, labels


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / UNIT


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gigabytes", type=float, default=20.0)
    parser.add_argument("--width", type=int, default=4096)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--batch", type=int, default=256)
    options = parser.parse_args()
    count = -(-int(options.gigabytes * 1e9) // (4 * options.width))
    net = nn.Sequential(nn.Flatten(), nn.Linear(options.width, options.classes))
    torch.set_num_threads(1)

    measure_collapse(net, Virtual(40, options.width, 2, 20), layers=["0"])  # loads what is loaded on first use
    before, began = peak(), time.perf_counter()
    data = Virtual(count, options.width, options.classes, options.batch)
    ds = measure_collapse(net, data, layers=["0"])
    taken = time.perf_counter() - began
    print(f"features of {count} samples: {4e-6 * count * options.width:.0f} MB")
    print(f"added to the peak: {peak() - before:.0f} MB")
    print(f"peak of the process: {peak() / 1e3:.3f} GB, in {taken:.0f} s")
    between = (data.means - data.means.mean(0)).square().sum() / options.classes
    ratio = data.spread**2 * options.width / between
    print(f"tr Σ_W / tr Σ_B: {float(ds.within_between_ratio.sel(layer='0')):.5f}, expected {float(ratio):.5f}")


if __name__ == "__main__":
    main()
