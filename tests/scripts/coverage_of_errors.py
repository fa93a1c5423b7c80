"""How often standard errors and intervals of elasticity cover, printed as the tables of elastic/docs/claims.md.

    PYTHONPATH=. python tests/scripts/coverage_of_errors.py [FOLDER] [DRAWS]

*In sample* are three networks on which constants of the estimators were chosen: that of quickstart.yaml, and the same
without batch norm and with little weight decay, in which one sample of eight carries 60 % of its class's self-response,
at two epochs. *Out of sample* are networks that a bare loop trains (`populations`), on other data, of other widths and
kinds, which were not looked at before the estimators were fixed; *development* marks those of them that were.

Movements of all pairs of train samples are computed once and kept in FOLDER; the truth is their mean, in plain NumPy. A
draw takes different samples to be stepped and observed, as a probe does. The numbers of samples drawn are not small
beside those of all (8, 16 and 32 stepped of 100 to 144), so that coverage is a little higher than for infinitely many.
A quarter of an hour on one core.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from populations import CASES, DEVELOPMENT, LAYERS, Population, populations

from elastic.metrics import elasticity, elasticity_errors, elasticity_per_sample, locality_errors
from elastic.metrics.update import UpdateResponse
from elastic.probes.update_response import update_responses
from elastic.protocol import load_protocol
from elastic.runs.setup import build_setup
from elastic.training import train

PLAIN = ("model.norm=none", "optimizer.weight_decay=5.0e-4", "optimizer.lr=0.05", "training.epochs=60")
#: Settings of the quickstart, and how many of the epochs are trained.
IN_SAMPLE = {"quickstart": ((), 30), "plain, epoch 60": (PLAIN, 60), "plain, epoch 5": (PLAIN, 5)}
STEPPED, OBSERVED, CLASSES = (8, 16, 32), 32, 10
HEADS = (
    "network", "origin", "stepped", "clustered ±2", "response ±2", "interval", "similarity ±2", "interval",
    "locality ±2", "interval",
)  # fmt: skip
LOCALITY_HEADS = ("network", "stepped", "locality", "corrected", "of all", "per sample")


def of_protocol(settings: tuple[str, ...], epochs: int) -> Iterator[Population]:
    """Yield the movements of all train samples under steps on all of them, layer by layer, of one seed."""
    (cell,) = load_protocol("quickstart", settings=[*settings, "axes.seed=[0]"]).cells
    setup = build_setup(cell.settings, torch.device("cpu"))
    for _ in train(setup.trainer):
        if setup.trainer.epoch == epochs:
            break
    part, trainer = setup.subject.samples["train"], setup.trainer
    samples, same = (part.inputs, part.labels), torch.eye(len(part), dtype=torch.bool)
    values = update_responses(trainer.model.eval(), trainer.loss, samples, samples, classes=CLASSES, same=same)
    for layer in ("hidden_1", "penultimate", "logits"):
        norms = values[layer].norms.numpy().copy()
        np.fill_diagonal(norms, values[layer].own_norms.numpy())
        yield Population(part.labels.numpy(), norms)


def kept(folder: Path | None) -> Iterator[tuple[str, str, str, Population]]:
    """Yield network, kind, layer and population; from a folder where they are there already."""
    result = dict.fromkeys(IN_SAMPLE, "in sample")
    result |= {name: "development" if name in DEVELOPMENT else "out of sample" for name in CASES}
    for number, (name, kind) in enumerate(result.items()):
        files = [folder / f"{number}_{layer}.npz" for layer in LAYERS] if folder else []
        if files and all(file.exists() for file in files):
            read = [np.load(file) for file in files]
            yield from ((name, kind, layer, Population(**one)) for layer, one in zip(LAYERS, read, strict=True))
            continue
        outcome = of_protocol(*IN_SAMPLE[name]) if name in IN_SAMPLE else populations(CASES[name])
        for layer, population in zip(LAYERS, outcome, strict=True):
            if folder:
                folder.mkdir(parents=True, exist_ok=True)
                norms = population.norms.astype(np.float32)
                np.savez(folder / f"{number}_{layer}.npz", labels=population.labels, norms=norms)
            yield name, kind, layer, population


def truths(whole: Population) -> tuple[np.ndarray, np.ndarray, float]:
    """Return response, relative similarity and locality of all samples, in which none is its own neighbour."""
    rows = np.eye(CLASSES)[whole.labels].T
    norms = whole.norms.astype(float)
    own, count = np.diag(norms).copy(), rows.sum(1)
    np.fill_diagonal(norms, 0.0)
    response = rows @ norms @ rows.T / (np.outer(count, count) - np.diag(count))
    similarity = response / (rows @ own / count)[:, None]
    inside = np.eye(CLASSES, dtype=bool)
    return response, similarity, similarity[inside].mean() / similarity[~inside].mean()


def drawn(whole: Population, stepped: int, rng: np.random.Generator) -> UpdateResponse:
    """Return a draw of different samples to be stepped and observed."""
    order = [rng.permutation(np.flatnonzero(whole.labels == k)) for k in range(CLASSES)]
    rows = np.concatenate([one[:stepped] for one in order])
    columns = np.concatenate([one[stepped : stepped + OBSERVED] for one in order])
    norms = torch.tensor(whole.norms[np.ix_(rows, columns)]).double()
    own = torch.tensor(whole.norms[rows, rows]).double()
    labels = torch.tensor(whole.labels)
    nothing = torch.zeros(len(rows), CLASSES).double()
    return UpdateResponse(
        CLASSES, labels[rows], labels[columns], torch.ones_like(norms).bool(), norms, norms, own, *[nothing] * 4, own
    )


def coverage(whole: Population, stepped: int, draws: int) -> list[float]:
    """Return shares of class pairs, or of draws, that are covered, and what locality is on average."""
    rng, collected = np.random.default_rng(stepped), []
    truth = [torch.as_tensor(one) for one in truths(whole)]
    errors, local = elasticity_errors, locality_errors
    for _ in range(draws):
        one = drawn(whole, stepped, rng)
        values = elasticity.response(one), elasticity.relative_similarity(one), elasticity.locality(one)
        far = [(value - true).abs() for value, true in zip(values, truth, strict=True)]
        ends = (
            (errors.response_lower(one), errors.response_upper(one)),
            (errors.relative_similarity_lower(one), errors.relative_similarity_upper(one)),
            (local.locality_lower(one), local.locality_upper(one)),
        )
        inside = [(low <= true) & (true <= high) for (low, high), true in zip(ends, truth, strict=True)]
        collected.append([
            far[0] <= 2 * errors.response_stderr_clustered(one), far[0] <= 2 * errors.response_stderr(one), inside[0],
            far[1] <= 2 * errors.relative_similarity_stderr(one), inside[1],
            far[2] <= 2 * local.locality_stderr(one), inside[2],
            values[2], local.locality_corrected(one), elasticity_per_sample.locality_per_sample(one),
        ])  # fmt: skip
    means = [float(torch.stack([row[i].double() for row in collected]).mean()) for i in range(len(collected[0]))]
    return [*means[:9], float(truth[2]), means[9]]


def main(folder: str = "", draws: int = 60) -> None:
    """Print a row for each network and number of stepped samples: the layer that is covered least, then locality."""
    print(f"{table_row(HEADS)}\n|{'---|' * len(HEADS)}")
    localities = ["", table_row(LOCALITY_HEADS), f"|{'---|' * len(LOCALITY_HEADS)}"]
    collected: dict[tuple[str, str], list[Population]] = {}
    for name, kind, _, population in kept(Path(folder) if folder else None):
        layers = collected.setdefault((name, kind), [])
        layers.append(population)
        if len(layers) < len(LAYERS):
            continue
        for stepped in STEPPED:
            rows = [coverage(one, stepped, draws) for one in layers]
            least = [f"{min(row[i] for row in rows):.0%}" for i in range(7)]
            of_penultimate = [f"{value:.2f}" for value in rows[1][7:]]
            print(table_row([name, kind, str(stepped), *least]), flush=True)
            localities.append(table_row([name, str(stepped), *of_penultimate]))
        layers.clear()
    print("\n".join(localities))


def table_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:]))
