"""How often standard errors and intervals of elasticity cover: draws of 8 × 32 samples on two trained networks.

    PYTHONPATH=. python tests/scripts/coverage_of_errors.py [STEPPED] [DRAWS]

The networks are that of quickstart.yaml, and the same without batch norm and with little weight decay, in which one
sample of eight carries 60 % of its class's self-response. Movements of all pairs of train samples are computed once;
the truth is their mean. Draws are of samples that are stepped and of others that are observed, as a probe draws them.
Takes about three minutes on one core.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import torch

from elastic.metrics import elasticity, elasticity_errors, elasticity_per_sample, locality_errors
from elastic.metrics.update import UpdateResponse
from elastic.probes.update_response import update_responses
from elastic.protocol import load_protocol
from elastic.runs.setup import build_setup
from elastic.training import train

PLAIN = ("model.norm=none", "optimizer.weight_decay=5.0e-4", "optimizer.lr=0.05", "training.epochs=60")
NETWORKS = {"quickstart": (), "plain, epoch 60": PLAIN}
LAYERS = ("hidden_1", "penultimate", "logits")


def all_pairs(settings: tuple[str, ...]) -> Iterator[tuple[str, UpdateResponse]]:
    """Yield the movements of all train samples under steps on all of them, layer by layer, of one seed."""
    (cell,) = load_protocol("quickstart", settings=[*settings, "axes.seed=[0]"]).cells
    setup = build_setup(cell.settings, torch.device("cpu"))
    for _ in train(setup.trainer):
        pass
    part, trainer = setup.subject.samples["train"], setup.trainer
    samples, same = (part.inputs, part.labels), torch.eye(len(part), dtype=torch.bool)
    found = update_responses(trainer.model.eval(), trainer.loss, samples, samples, classes=10, same=same)
    yield from ((layer, found[layer]) for layer in LAYERS)


def drawn(whole: UpdateResponse, stepped: int, rng: np.random.Generator, observed: int = 32) -> UpdateResponse:
    """Return a draw of different samples to be stepped and observed."""
    order = [rng.permutation(np.flatnonzero(whole.stepped.numpy() == k)) for k in range(10)]
    rows = torch.tensor(np.concatenate([one[:stepped] for one in order]))
    columns = torch.tensor(np.concatenate([one[stepped : stepped + observed] for one in order]))
    pairs = whole.norms[rows][:, columns]
    rest = [torch.zeros(len(rows), 10).double()] * 4
    return UpdateResponse(
        10, whole.stepped[rows], whole.observed[columns], torch.ones_like(pairs).bool(), pairs, pairs,
        whole.own_norms[rows], *rest, whole.own_norms[rows],
    )  # fmt: skip


def coverage(whole: UpdateResponse, stepped: int, draws: int) -> list[str]:
    """Return the row of one layer."""
    rng, told = np.random.default_rng(0), []
    truth = [metric(whole) for metric in (elasticity.response, elasticity.relative_similarity, elasticity.locality)]
    for _ in range(draws):
        one, errors = drawn(whole, stepped, rng), elasticity_errors
        R, S, L = (metric(one) for metric in (elasticity.response, elasticity.relative_similarity, elasticity.locality))
        far = [(value - true).abs() for value, true in zip((R, S, L), truth, strict=True)]
        inside = (errors.response_lower(one) <= truth[0]) & (truth[0] <= errors.response_upper(one))
        told.append([
            far[0] <= 2 * errors.response_stderr_clustered(one), far[0] <= 2 * errors.response_stderr(one), inside,
            far[1] <= 2 * errors.relative_similarity_stderr(one), far[2] <= 2 * locality_errors.locality_stderr(one),
            L, locality_errors.locality_corrected(one), elasticity_per_sample.locality_per_sample(one),
        ])  # fmt: skip
    means = [float(torch.stack([row[i].double() for row in told]).mean()) for i in range(len(told[0]))]
    values = [f"{value:.2f}" for value in (*means[5:7], truth[2].item(), means[7])]
    return [*(f"{share:.0%}" for share in means[:5]), *values]


def main(stepped: int = 8, draws: int = 20) -> None:
    """Print the table in Markdown."""
    heads = ["network", "layer", "clustered ±2", "response ±2", "interval", "similarity ±2", "locality ±2",
             "locality", "corrected", "of all", "per sample"]  # fmt: skip
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for name, settings in NETWORKS.items():
        for layer, whole in all_pairs(settings):
            print(f"| {' | '.join([name, layer, *coverage(whole, stepped, draws)])} |", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
