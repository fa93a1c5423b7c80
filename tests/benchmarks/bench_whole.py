"""Whole probes, as a user calls them, beside loops written by hand; growth, memory; results go into files.

    python tests/benchmarks/bench_whole.py [--rounds 5] [--only probes growth memory collapse] [--threads 2 1]
        [--cases mlp cnn resnet18] [--out tests/benchmarks/results]

Takes eight minutes on two idle cores. Product and peers run in one process, in turns: a ratio is the median over rounds
of two times of the same round. On a machine that others use, the ratios of processor times with one thread say more
than those of wall times. Before each round the parameters are moved a little, as training does between two epochs:
`measure_elasticity` then compares one pair with real steps. Its first call for a module, which chooses an engine and
compares eight, has its own row.
Writes ``probes.json`` (machine, date, load before and after, every time) and ``probes.md`` (the tables); sections that
were not asked for stay as an earlier call on the same machine left them.
"""

from __future__ import annotations

import argparse
import copy
import datetime
import json
import multiprocessing
import os
import platform
import statistics
import time
from pathlib import Path

import bench_engines as engines
import numpy as np
import torch
from torch.func import functional_call, jvp, vmap

from elastic import __version__, measure_collapse, measure_elasticity
from elastic.models.contract import Task
from elastic.models.mlp import mlp
from elastic.probes.autodiff import Taps

CLASSES = 10


def elastic(model, stepped, observed, labels):
    return measure_elasticity(model, stepped, (observed, labels))


def first_call(model, stepped, observed, labels):
    return elastic(copy.deepcopy(model), stepped, observed, labels)


def norms_by_loop(model, stepped, observed, labels):
    collected = []
    for moved in engines.loop(model, stepped, observed):
        collected.append({layer: torch.linalg.vector_norm(h.flatten(1), dim=1) for layer, h in moved.items()})
    return {layer: torch.stack([row[layer] for row in collected]) for layer in collected[0]}


def variables_by_loop(model, stepped, observed, labels):
    """Return what the variables of `measure_elasticity` are made of: copy, step, forward, subtract, and reduce."""
    member = torch.nn.functional.one_hot(labels, CLASSES).float()
    counts = member.sum(0)[:, None]
    with torch.no_grad():
        before = {layer: h.flatten(1) for layer, h in model.taps(observed).items()}
        means = {layer: member.T @ h / counts for layer, h in before.items()}
    collected = []
    # Each stepped sample is observed as well, for its own movement: it is the last of those that are passed.
    for place, x in enumerate(stepped[0]):
        one = stepped[0][place : place + 1], stepped[1][place : place + 1]
        (moved,) = engines.loop(model, one, torch.cat([observed, x[None]]))
        row = {}
        for layer, h in moved.items():
            change, own = h.flatten(1)[:-1], h.flatten(1)[-1]
            shift, residual = member.T @ change / counts, before[layer] - means[layer][labels]
            direction = means[layer] - means[layer].mean(0)
            row[layer] = {
                "norms": change.norm(dim=1), "products": change @ own, "own": own.norm(), "shift": shift.norm(dim=1),
                "along": (shift * direction).sum(1) / direction.norm(dim=1),
                "within": 2 * member.T @ (change * residual).sum(1) / counts[:, 0],
            }  # fmt: skip
        collected.append(row)
    return collected


def norms_by_functional_call(model, stepped, observed, labels):
    return [
        {layer: h.flatten(2).norm(dim=2) for layer, h in block.items()}
        for block in engines.functional_calls(model, stepped, observed)
    ]


def norms_by_jvp(model, stepped, observed, labels, chunk=10):
    """``vmap`` of ``jvp`` along the gradients of a chunk of stepped samples."""
    wrapped = Taps(model)
    named = {name: p.detach() for name, p in wrapped.named_parameters()}

    def risk(p, x, y):
        return engines.LOSS.per_sample(functional_call(wrapped, p, (x[None],))["logits"], y[None]).sum()

    def along(step):
        return jvp(lambda p: functional_call(wrapped, p, (observed,)), (named,), (step,))[1]

    collected = []
    with torch.no_grad():
        for x, y in zip(stepped[0].split(chunk), stepped[1].split(chunk), strict=True):
            steps = vmap(torch.func.grad(risk), (None, 0, 0))(named, x, y)
            collected.append({layer: h.flatten(2).norm(dim=2) for layer, h in vmap(along)(steps).items()})
    return collected


CONTENDERS = {
    "elastic, all variables": elastic,
    "elastic, first call for a module": first_call,
    "loop, norms only": norms_by_loop,
    "loop, the same variables": variables_by_loop,
    "vmap(functional_call), norms only": norms_by_functional_call,
    "vmap(jvp), norms only": norms_by_jvp,
}


def nudge(model):
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(1 + 2**-12)


def seconds(function, model, *given):
    begun = time.perf_counter(), time.process_time()
    function(model, *given)
    return round(time.perf_counter() - begun[0], 4), round(time.process_time() - begun[1], 4)


def probes(cases, rounds, threads):
    """Return the times of all contenders of each case, by round; the first round, which warms up, is left out."""
    collected = {}
    for name in cases:
        torch.set_num_threads(threads)
        model, stepped, observed = engines.problem(name)
        labels = torch.arange(len(observed)) % CLASSES
        times = {label: [] for label in CONTENDERS}
        for _ in range(rounds + 1):
            nudge(model)
            for label, function in CONTENDERS.items():
                times[label].append(seconds(function, model, stepped, observed, labels))
        wall, processor = ({k: [pair[i] for pair in v[1:]] for k, v in times.items()} for i in range(2))
        sizes = {"J": len(stepped[0]), "M": len(observed), "threads": threads}
        collected[f"{name}, threads={threads}"] = {**sizes, "seconds": wall, "processor seconds": processor}
        print(name, threads, {label: statistics.median(taken) for label, taken in wall.items()}, flush=True)
    return collected


GROWTH = {
    "J": (25, 50, 100, 200), "M": (100, 200, 400, 800), "width": (128, 256, 512, 1024), "depth": (2, 4, 8, 16),
    "K": (10, 20, 50, 100),
}  # fmt: skip


def growth(rounds):
    """Return the times of `measure_elasticity` as one size grows, and the exponent that fits them."""
    collected = {}
    for varied, values in GROWTH.items():
        taken = []
        for value in values:
            size = {"J": 50, "M": 200, "width": 256, "depth": 5, "K": 10, varied: value}
            torch.manual_seed(0)
            model = mlp(Task((784,), size["K"]), widths=[size["width"]] * size["depth"]).eval()
            stepped = torch.randn(size["J"], 784), torch.arange(size["J"]) % size["K"]
            given = stepped, torch.randn(size["M"], 784), torch.arange(size["M"]) % size["K"]
            times = []
            for _ in range(rounds + 1):
                nudge(model)
                times.append(seconds(elastic, model, *given)[0])
            taken.append(statistics.median(times[1:]))
        exponent = float(np.polyfit(np.log(values), np.log(taken), 1)[0])
        collected[varied] = {"values": values, "seconds": taken, "exponent": exponent}
        print(varied, collected[varied], flush=True)
    return collected


def memory():
    """Return the growth in MiB of processes of their own by whole probes, structured engine; Linux."""
    cases = [("mlp", 100, 400, 2**30), ("mlp", 400, 800, 2**30), ("cnn", 20, 200, 2**30), ("cnn", 20, 200, 2**26)]
    cases += [("resnet18", 4, 20, 2**30), ("resnet18", 4, 8, 2**27)]
    return [
        {"model": name, "J": J, "M": M, "budget": budget >> 20, "MiB": engines.grown(name, J, M, "structured", budget)}
        for name, J, M, budget in cases
    ]


COLLAPSE = [(2000, 65_536, 10), (20_000, 512, 1000), (100_000, 512, 10), (100_000, 512, 100)]


def _collapse(N, d, K, threads, answer):
    torch.set_num_threads(threads)
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(N) % K
    features = torch.randn(K, d, generator=generator)[labels]
    for some in features.split(1024):
        some += 0.3 * torch.randn(some.shape, generator=generator)
    measure_collapse(torch.randn(40, 8), torch.arange(40) % 4)
    Path("/proc/self/clear_refs").write_text("5")
    before, times = engines.resident("VmRSS"), []
    for _ in range(3):
        begun = time.perf_counter()
        measure_collapse(features, labels)
        times.append(time.perf_counter() - begun)
    added = engines.resident("VmHWM") - before
    row = {"N": N, "d": d, "K": K, "seconds": times, "MiB": added, "features, MiB": N * d * 4 / 2**20}
    answer.put(row)


def collapse(threads):
    """Return time and memory of `measure_collapse` on arrays, each in a process of its own."""
    collected = []
    for case in COLLAPSE:
        context = multiprocessing.get_context("spawn")
        answer = context.Queue()
        process = context.Process(target=_collapse, args=(*case, threads, answer))
        process.start()
        collected.append(answer.get(timeout=1200))
        process.join()
        print(collected[-1], flush=True)
    return collected


def machine(threads):
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "processor": f"{names[0].partition(':')[2].strip()}, {os.cpu_count()} cores", "system": platform.platform(),
        "torch": torch.__version__, "elastic": __version__, "threads": threads, "load before": load(),
    }  # fmt: skip


def load():
    """Return how many processes wanted to run in the last minute; those of this benchmark count."""
    return round(os.getloadavg()[0], 1)


def table(title, *columns):
    return ["", f"## {title}", "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]


def spread(times, label):
    """Return how many times as long a contender takes: the median over rounds, and the range."""
    ratios = [t / o for t, o in zip(times[label], times["elastic, all variables"], strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}…{max(ratios):.2f})"


def tables(results):
    """Return the results as Markdown."""
    lines = ["# Whole probes", "", "Made by `python tests/benchmarks/bench_whole.py`.", ""]
    for section, of in results["machines"].items():
        lines.append(f"- {section}: {', '.join(f'{key} {value}' for key, value in of.items())}")
    for name, case in results.get("probes", {}).items():
        columns = "seconds", "elastic is faster by", "by processor time"
        lines += table(f"{name}, J={case['J']}, M={case['M']}", "", *columns)
        for label, taken in case["seconds"].items():
            spreads = " | ".join(spread(case[kind], label) for kind in ("seconds", "processor seconds"))
            lines.append(f"| {label} | {statistics.median(taken):.3f} | {spreads} |")
    if "growth" in results:
        lines += table("Growth of `measure_elasticity`, MLP", "varied", "values", "seconds", "exponent")
    for varied, row in results.get("growth", {}).items():
        values, taken = " ".join(map(str, row["values"])), " ".join(f"{t:.2f}" for t in row["seconds"])
        lines.append(f"| {varied} | {values} | {taken} | {row['exponent']:.2f} |")
    if "memory" in results:
        lines += table("Memory beyond model and samples", "model", "J", "M", "budget, MiB", "MiB")
    for row in results.get("memory", ()):
        text = "refused" if row["MiB"] is None else f"{row['MiB']:.0f}"
        lines.append(f"| {row['model']} | {row['J']} | {row['M']} | {row['budget']} | {text} |")
    if "collapse" in results:
        lines += table("`measure_collapse`", "N", "d", "K", "seconds", "MiB beside the features", "features, MiB")
    for row in results.get("collapse", ()):
        taken, sizes = statistics.median(row["seconds"]), f"{row['N']} | {row['d']} | {row['K']}"
        lines.append(f"| {sizes} | {taken:.2f} | {row['MiB']:.0f} | {row['features, MiB']:.0f} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=["probes", "growth", "memory", "collapse"])
    parser.add_argument("--cases", nargs="*", default=list(engines.CASES))
    parser.add_argument("--threads", type=int, nargs="*", default=[2, 1])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    asked = parser.parse_args()
    target = asked.out / "probes.json"
    results = json.loads(target.read_text()) if target.exists() else {"machines": {}}
    most = max(asked.threads)
    sections = {
        "probes": lambda: results.get("probes", {}) | {
            name: result
            for threads in asked.threads
            for name, result in probes(asked.cases, asked.rounds if threads == most else 2, threads).items()
        },
        "growth": lambda: growth(min(asked.rounds, 3)), "memory": memory, "collapse": lambda: collapse(most),
    }  # fmt: skip
    asked.out.mkdir(parents=True, exist_ok=True)
    for section in asked.only:
        torch.set_num_threads(most)
        facts = machine(asked.threads if section == "probes" else most)
        results[section] = sections[section]()
        results["machines"][section] = facts | {"load after": load()}
        target.write_text(json.dumps(results, indent=1) + "\n")
        (asked.out / "probes.md").write_text(tables(results))


if __name__ == "__main__":
    main()
