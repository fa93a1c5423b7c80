"""Training beside a bare loop of PyTorch with the same evaluation, in one process, in turns.

    python tests/benchmarks/bench_training.py [--rounds 7] [--epochs 3] [--out FILE.json]

Both take the same steps on the same batches (checked: the weights are equal to the last bit) with one thread, and
evaluate train and test split after each epoch. Reported are the processor's seconds an epoch, medians of rounds, and
medians of the ratios of the same round; the processor's time changes less than the clock's beside other work. The last
column is the evaluation of the train split over the steps, as the product does both.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import torch
from torch import nn

from elastic.protocol import load_protocol
from elastic.runs.setup import build_setup
from elastic.training import evaluate
from elastic.training.loop import take_snapshot

ROOT = Path(__file__).parents[2]

#: By name: settings beside those of the quickstart.
CASES = {
    "quickstart": [],
    "plain network": ["model.norm=none", "optimizer.weight_decay=5.0e-4", "training.epochs=200"],
    "small network": ["model.widths=[32, 32]"],
}


def trainer(settings):
    """Return the product's trainer."""
    protocol = load_protocol(ROOT / "protocols/quickstart.yaml", settings=["claims=[]", *settings])
    return build_setup(protocol.cells[0].settings, torch.device("cpu")).trainer


def bare(product):
    """Return a function that trains an epoch and evaluates: nothing but PyTorch, on the product's modules."""
    net = nn.Sequential(*product.model.stages.values())
    options = {k: product.optimizer.defaults[k] for k in ("lr", "momentum", "weight_decay")}
    optimizer = torch.optim.SGD(net.parameters(), **options)
    train, test = product.splits["train"], product.splits["test"]
    order = torch.Generator().manual_seed(product.randomness.seed)
    rates = iter(range(10**9))

    def epoch():
        for group in optimizer.param_groups:
            group["lr"] = options["lr"] * product.schedule(next(rates))
        net.train()
        for index in torch.randperm(len(train), generator=order).split(product.batch_size):
            optimizer.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(net(train.inputs[index]), train.labels[index]).backward()
            optimizer.step()
        net.eval()
        with torch.no_grad():
            for part in (train, test):
                logits = net(part.inputs)
                nn.functional.cross_entropy(logits, part.labels).item()
                (logits.argmax(1) == part.labels).double().mean().item()

    return epoch, net


def seconds(function):
    begun = time.process_time()
    function()
    return time.process_time() - begun


def compare(name, rounds, epochs):
    """Return the numbers of one network."""
    product, (loop, net) = trainer(CASES[name]), bare(trainer(CASES[name]))
    times = {"product": [], "bare loop": [], "steps": [], "evaluation of train": []}

    def epoch():
        times["steps"].append(seconds(product.train_epoch))
        take_snapshot(product, 0.0, 0.0)

    loop(), epoch()
    for _ in range(rounds):
        times["product"].append(seconds(lambda: [epoch() for _ in range(epochs)]) / epochs)
        times["bare loop"].append(seconds(lambda: [loop() for _ in range(epochs)]) / epochs)
        only_train = seconds(lambda: evaluate(product.model, product.loss, product.splits["train"]))
        times["evaluation of train"].append(only_train)
    for ours, theirs in zip(product.model.parameters(), net.parameters(), strict=True):
        assert torch.equal(ours, theirs), "the two trainings differ"
    ratios = [a / b for a, b in zip(times["product"], times["bare loop"], strict=True)]
    share = statistics.median(times["evaluation of train"]) / statistics.median(times["steps"])
    return {
        **{part: statistics.median(taken) for part, taken in times.items()},
        "product over bare loop": statistics.median(ratios), "evaluation of train over steps": share,
    }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    collected = {name: compare(name, options.rounds, options.epochs) for name in options.only}
    for name, numbers in collected.items():
        print(name, *(f"{part} {value:.4f}" for part, value in numbers.items()), sep="; ")
    if options.out:
        options.out.write_text(json.dumps({"torch": torch.__version__, "networks": collected}, indent=1))


if __name__ == "__main__":
    main()
