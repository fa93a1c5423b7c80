"""Whole runs of ``elastic run`` on a GPU: where their seconds go, and how many a minute so many workers finish.

    python tests/benchmarks/bench_device_runs.py [--device cuda] [--workers 1 6 12] [--out tests/benchmarks/results]

Sections are ``start`` (a new interpreter until the first product on the device), ``epoch`` (an epoch of training
beside a bare loop on the device, with the index of each batch on the device and copied for each batch), and one for
each number of workers: so many runs of the quickstart for each. What a command tells is kept in ``runs_N.log`` with its
seconds. Each part has a limit of its own, and results are written after each.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).parents[2]

#: What a worker does before its first run, with a line after each part.
START = """
import time; begun = time.perf_counter()
def told(part): print(part, round(time.perf_counter() - begun, 2), flush=True)
import torch; told("import torch")
import elastic.runs.cell; told("import elastic.runs.cell")
import elastic.probes.engine_selection; told("import elastic.probes.engine_selection")
x = torch.ones(64, 64, device=DEVICE); told("first tensor on the device")
(x @ x).sum().item(); told("first product")
net = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.BatchNorm1d(64)).to(DEVICE)
net(x).sum().backward(); told("first gradient")
torch.linalg.svd(x); told("first singular values")
"""

#: Milestones of a study in what it tells, by name.
TOLD = {"study read": r"study \w+:", "first run began": r"seed=\d+: started", "first epoch trained": r"\S+: epoch 1/"}


def environment():
    """Return the environment of a command on this tree."""
    return {**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}", "ELASTIC_OWN_PROCESS": "1"}


def finished(command, seconds, log):
    """Run a command, end it with all its children after so many seconds; return its exit code and processor seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with log.open("w") as result:
        child = subprocess.Popen(command, env=environment(), stdout=result, stderr=result, start_new_session=True)
        try:
            code = child.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            code = f"ended after {seconds} s"
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return code, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def start(device, out):
    """Return seconds since the interpreter began, twice: the second time all files have been read before."""
    collected = {}
    for turn in ("first", "again"):
        log = out / f"start_{turn}.log"
        begun = time.perf_counter()
        finished([sys.executable, "-c", START.replace("DEVICE", repr(device))], 45, log)
        collected[turn] = {"wall": round(time.perf_counter() - begun, 2), "told": log.read_text().splitlines()}
    return collected


def epoch(device, out):
    """Return seconds of an epoch of the quickstart's network: the product's, and a bare loop's in both ways."""
    import torch

    sys.path.insert(0, str(ROOT))
    import elastic.training.loop as loop
    from elastic.protocol import load_protocol
    from elastic.runs.setup import build_setup

    protocol = load_protocol(ROOT / "protocols/quickstart.yaml", settings=["claims=[]"])
    product = build_setup(protocol.cells[0].settings, torch.device(device)).trainer
    net, train = product.model, product.splits["train"]
    optimizer = torch.optim.SGD(net.parameters(), lr=0.03, momentum=0.9, weight_decay=2e-2)

    def bare(copied):
        net.train()
        for index in torch.randperm(len(train)).to("cpu" if copied else device).split(64):
            index = index.to(device)
            optimizer.zero_grad(set_to_none=True)
            torch.nn.functional.cross_entropy(net(train.inputs[index]), train.labels[index]).backward()
            optimizer.step()
        train.inputs[:1].sum().item()

    def seconds(function, rounds=8):
        function()
        taken = []
        for _ in range(rounds):
            begun = time.perf_counter()
            function()
            taken.append(time.perf_counter() - begun)
        return round(statistics.median(taken), 4)

    return {
        "product": seconds(product.train_epoch),
        "product's evaluation": seconds(lambda: loop.take_snapshot(product, 0.0, 0.0)),
        "bare loop": seconds(lambda: bare(copied=False)),
        "bare loop, index copied for each batch": seconds(lambda: bare(copied=True)),
    }


def runs(device, out, workers, each, epochs, probes, limit):
    """Return what so many runs at a time took: ``each`` of them for each worker."""
    log, count = out / f"runs_{workers}.log", workers * each
    with tempfile.TemporaryDirectory() as folder:
        settings = [f"axes.seed={list(range(count))}", "claims=[]", f"training.epochs={epochs}"]
        settings += [f"probes.at={{name: log, count: {probes}}}"]
        command = [sys.executable, "-m", "elastic", "run", str(ROOT / "protocols/quickstart.yaml"), "--out", folder]
        command += [part for setting in settings for part in ("--set", setting)]
        begun = time.perf_counter()
        code, processor = finished([*command, "--workers", str(workers), "--device", device], limit, log)
        wall = time.perf_counter() - begun
        reports = [json.loads(path.read_text()) for path in Path(folder).glob("*/runs/*/status.json")]
    parts = [report["seconds"] for report in reports if "seconds" in report]
    results = [
        (float(line[1]), line[2]) for line in re.finditer(r"^\[ *([\d.]+)s\] (.*)", log.read_text(), re.MULTILINE)
    ]
    began = [at for at, text in results if re.match(TOLD["first run began"], text)]
    ended = [at for at, text in results if ": finished" in text]
    collected = {"exit code": code, "runs": count, "finished": len(ended), "wall": round(wall, 1)}
    collected |= {"processor seconds": round(processor, 1)}
    collected |= {
        name: next((at for at, text in results if re.match(pattern, text)), None) for name, pattern in TOLD.items()
    }
    if ended:
        collected |= {"last run ended": ended[-1], "runs a minute, start to end": round(60 * len(ended) / wall, 2)}
        collected["runs a minute between"] = round(60 * len(ended) / (ended[-1] - min(began)), 2)
    names = sorted({name for part in parts for name in part})
    return collected | {name: [part.get(name) for part in parts] for name in names}


def machine(device):
    """Return what the numbers belong to."""
    import torch

    card = torch.cuda.get_device_name() if device.startswith("cuda") else "cpu"
    facts = {"device": card, "cores": os.cpu_count(), "torch": torch.__version__}
    return facts | {"date": time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime())}


PARTS = ("training", "collapse probes", "elasticity probes", "writing")


def markdown(results):
    """Return the results as tables."""
    sections = dict(results["sections"])
    lines = ["# " + ", ".join(f"{key} {value}" for key, value in results["machine"].items()), ""]
    for name in [name for name in sections if not name.endswith("at a time")]:
        lines += [f"## {name}", "", *(f"- {key}: {value}" for key, value in sections.pop(name).items()), ""]
    lines += ["## Whole runs of the quickstart", "", "Seconds of a run are medians.", ""]
    names = ["workers", "runs", "runs a minute", "with the start", *(f"{part}, s a run" for part in PARTS)]
    lines += [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for name, section in sorted(sections.items(), key=lambda item: int(item[0].split()[0])):
        row = [name.split()[0], f"{section.get('finished', 0)} of {section.get('runs')}"]
        row += [section.get("runs a minute between"), section.get("runs a minute, start to end")]
        row += [round(statistics.median(section[part]), 1) if section.get(part) else None for part in PARTS]
        lines.append(f"| {' | '.join(map(str, row))} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--workers", nargs="*", type=int, default=[1, 6, 12])
    parser.add_argument("--each", type=int, default=3, help="runs of each worker")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--probes", type=int, default=12)
    parser.add_argument("--limit", type=float, default=130, help="seconds of a command at most")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    sections = {
        "start": lambda: start(asked.device, asked.out),
        "epoch": lambda: epoch(asked.device, asked.out),
    }
    for count in asked.workers:
        sections[f"{count} at a time"] = lambda n=count: runs(
            asked.device, asked.out, n, asked.each, asked.epochs, asked.probes, asked.limit
        )
    results = {"machine": {"device": asked.device}, "sections": {}}
    for name, section in sections.items():
        begun = time.perf_counter()
        try:
            results["sections"][name] = section()
        except Exception:
            results["sections"][name] = {"failed": traceback.format_exc(limit=-3)}
        print(f"{name}: {time.perf_counter() - begun:.1f} s", json.dumps(results["sections"][name]), flush=True)
        (asked.out / "device_runs.json").write_text(json.dumps(results, indent=1))
    results["machine"] = machine(asked.device)
    (asked.out / "device_runs.json").write_text(json.dumps(results, indent=1))
    (asked.out / "device_runs.md").write_text(markdown(results))


if __name__ == "__main__":
    main()
