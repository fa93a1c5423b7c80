"""Probe engines against their peers, in one process, in turns.

    python tests/benchmarks/bench_engines.py [--rounds 5] [--only mlp cnn resnet18 memory] [--device cpu] [--threads 2]

Each round runs every contender once; the table shows medians, over rounds, of a contender's time divided by the
structured engine's in the same round (above 1: the structured engine is faster), so that another process on the
machine slows both sides of a ratio. Every contender gives the movements of all layers for all pairs.
"""

from __future__ import annotations

import argparse
import copy
import gc
import multiprocessing
import statistics
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn
from torch.func import functional_call, vmap

from elastic.errors import ModelError
from elastic.losses import build_loss
from elastic.models.cnn import cnn
from elastic.models.contract import Stages, Task
from elastic.models.mlp import mlp
from elastic.probes.autodiff import Taps
from elastic.probes.engine import movements
from elastic.probes.engine_selection import choose_engine
from elastic.probes.memory.plan import Plan
from elastic.probes.update_response import update_responses

LOSS = build_loss("cross_entropy")


class Block(nn.Module):
    """The basic block of a ResNet."""

    def __init__(self, planes, out, stride):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(planes, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU(),
            nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out),
        )  # fmt: skip
        same = stride == 1 and planes == out
        self.skip = (
            nn.Identity() if same else nn.Sequential(nn.Conv2d(planes, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        )

    def forward(self, x):
        return torch.relu(self.body(x) + self.skip(x))


def resnet18():
    """ResNet-18 for 32×32 images: 11 million parameters."""
    widths, stages, planes = [64, 128, 256, 512], {}, 64
    stages["stem"] = nn.Sequential(nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU())
    for i, out in enumerate(widths):
        stages[f"stage_{i + 1}"] = nn.Sequential(Block(planes, out, 1 if i == 0 else 2), Block(out, out, 1))
        planes = out
    stages["penultimate"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    stages["logits"] = nn.Linear(512, 10)
    return Stages(stages)


CASES = {
    "mlp": (lambda: mlp(Task((784,), 10), widths=[512] * 5), (784,), 100, 400),
    "cnn": (lambda: cnn(Task((1, 28, 28), 10), channels=[32, 64, 128]), (1, 28, 28), 20, 200),
    "resnet18": (resnet18, (3, 32, 32), 4, 20),
}


def problem(name, J=None, M=None, device="cpu"):
    """Return (model, stepped, observed), the model in evaluation mode."""
    torch.manual_seed(0)
    build, shape, j, m = CASES[name]
    J, M = J or j, M or m
    model = build().eval().to(device)
    stepped = torch.randn(J, *shape, device=device), (torch.arange(J) % 10).to(device)
    return model, stepped, torch.randn(M, *shape, device=device)


def loop(model, stepped, observed, lr=0.1):
    """Copy, take the SGD step, run forward, subtract."""
    with torch.no_grad():
        before = model.taps(observed)
    for x, y in zip(*stepped, strict=True):
        moved = copy.deepcopy(model)
        LOSS.per_sample(moved(x[None]), y[None]).sum().backward()
        torch.optim.SGD(moved.parameters(), lr=lr).step()
        with torch.no_grad():
            after = moved.taps(observed)
            yield {layer: (after[layer] - before[layer]) / lr for layer in after}


def functional_calls(model, stepped, observed, lr=0.1, chunk=10):
    """``vmap`` of `functional_call`: a copy of all parameters for each stepped sample of a chunk."""
    wrapped = Taps(model)
    with torch.no_grad():
        before = model.taps(observed)
    for x, y in zip(stepped[0].split(chunk), stepped[1].split(chunk), strict=True):
        named = {n: p.detach() for n, p in wrapped.named_parameters()}

        def risk(p, x, y):
            return LOSS.per_sample(functional_call(wrapped, p, (x[None],))["logits"], y[None]).sum()

        with torch.no_grad():
            step = vmap(torch.func.grad(risk), (None, 0, 0))(named, x, y)
            stacked = {n: p - lr * step[n] for n, p in named.items()}
            after = vmap(lambda p: functional_call(wrapped, p, (observed,)))(stacked)
            yield {layer: (after[layer] - before[layer]) / lr for layer in after}


def forwards(model, stepped, observed):
    """J plain forward passes."""
    with torch.no_grad():
        for _ in stepped[0]:
            yield model.taps(observed)


def gemms(model, stepped, observed, rows=4000):
    """J × M rows through the weight matrices of the linear layers, and nothing else."""
    weights = [m.weight for m in model.modules() if isinstance(m, nn.Linear)]
    entering = [w.new_empty(rows, w.shape[1]).normal_() for w in weights]
    with torch.no_grad():
        for _ in range(len(stepped[0]) * len(observed) // rows):
            for x, w in zip(entering, weights, strict=True):
                yield x @ w.T


def engine(name, given, lr=None, **changes):
    """Return the passage of an engine, chosen beforehand as a probe does it, over all pairs."""
    example = given[2][:1]
    chosen = choose_engine(given[0], example, engine=name, finite=lr is not None)
    cost = replace(chosen.cost, **changes)

    def passage(model, stepped, observed):
        plan = Plan.of(cost, len(stepped[0]), len(observed), 2**30)
        return movements(chosen.at_work(model, example, lr), LOSS, stepped, observed, plan)

    return passage


def contenders(name, given):
    """Return the functions that are compared, the structured engine first."""
    known = {
        "structured": engine("structured", given),
        "copy, step, forward, subtract": loop,
        "vmap(functional_call)": functional_calls,
        "vmap(jvp)": engine("autodiff", given, cached=None),  # in blocks as large as 1 GiB holds
        "autodiff engine": engine("autodiff", given),
        "J×M plain forwards": forwards,
        "structured, finite": engine("structured", given, 0.1),
    }
    return known | ({"GEMM limit": gemms} if name == "mlp" else {})


def seconds(function, given, device):
    """Return the wall time of one run through all blocks, which are dropped as they come."""
    start = time.perf_counter()
    for _ in function(*given):
        pass
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def compare(name, rounds, device):
    """Print the table of one model."""
    given = problem(name, device=device)
    known, times = contenders(name, given), {}
    for _ in range(rounds + 1):  # the first round warms up
        for label, function in known.items():
            times.setdefault(label, []).append(seconds(function, given, device))
    ours = times["structured"][1:]
    print(f"\n### {name}, J={len(given[1][0])}, M={len(given[2])}, {device}, {torch.get_num_threads()} threads\n")
    print("| contender | seconds | over structured |\n|---|---|---|")
    for label, taken in times.items():
        ratios = [t / o for t, o in zip(taken[1:], ours, strict=True)]
        spread = f"{min(ratios):.2f}…{max(ratios):.2f}"
        print(
            f"| {label} | {statistics.median(taken[1:]):.3f} | {statistics.median(ratios):.2f} ({spread}) |", flush=True
        )


def resident(field):
    """Return a memory of this process in MiB: VmRSS now, VmHWM at most since ``clear_refs`` was written."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


def growth(name, J, M, engine, budget, answer):
    """Put the growth of the process's memory by one probe, reduction and all, in MiB; None if it is refused."""
    torch.set_num_threads(min(2, torch.get_num_threads()))  # OMP_NUM_THREADS may ask for fewer
    model, stepped, observed = problem(name, J, M)
    labels = torch.arange(M) % 10
    small = problem("cnn", 2, 2)  # what the libraries themselves take is not the probe's
    update_responses(small[0], LOSS, small[1], (small[2], labels[:2]), classes=10, engine=engine)
    with torch.no_grad():
        model(observed[:1])
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    try:
        update_responses(model, LOSS, stepped, (observed, labels), classes=10, engine=engine, memory_budget=budget)
    except ModelError:
        answer.put(None)
    else:
        answer.put(resident("VmHWM") - before)


def grown(*case):
    """Return the growth of a process of its own."""
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=growth, args=(*case, answer))
    process.start()
    result = answer.get(timeout=600)
    process.join()
    return result


def memory():
    """Print peak memory as a function of J, M and the budget (Linux)."""
    cases = [("mlp", J, M, 2**30) for J in (50, 100, 400) for M in (100, 800)]
    cases += [("mlp", 100, 400, 2**26), ("cnn", 20, 200, 2**26), ("cnn", 20, 200, 2**27)]
    cases += [("resnet18", 4, 8, b) for b in (2**27, 2**28, 2**30)] + [("resnet18", 16, 8, 2**28)]
    print("\n### peak memory beyond model and samples\n")
    print("| model | J | M | parameters | J × parameters, MiB | budget, MiB | structured, MiB | autodiff, MiB |")
    print("|---|---|---|---|---|---|---|---|")
    for name, J, M, budget in cases:
        collected = [grown(name, J, M, engine, budget) for engine in ("structured", "autodiff")]
        result = ["refused" if size is None else f"{size:.0f}" for size in collected]
        count = sum(p.numel() for p in problem(name, 1, 1)[0].parameters())
        sizes = f"{count} | {J * count * 4 / 2**20:.0f} | {budget >> 20}"
        print(f"| {name} | {J} | {M} | {sizes} | {' | '.join(result)} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=[*CASES, "memory"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for name in options.only:
        if name == "memory":
            memory()
        else:
            compare(name, options.rounds, options.device)


if __name__ == "__main__":
    main()
