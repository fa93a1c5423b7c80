"""The cells of a study's notebook: the question, analyses and figures, and the computed conclusion."""

from __future__ import annotations

from collections.abc import Iterator

from elastic.display.markdown import inert
from elastic.notebook.contents import Holdings, holdings
from elastic.notebook.first_cells import Cell, code, markdown, opening, question
from elastic.notebook.literals import choice, keyword, literal
from elastic.study import Study


def cells(study: Study, place: str) -> Iterator[Cell]:
    """Yield the cells of a study's notebook.

    Parameters
    ----------
    study
        The study; its runs may be unfinished. Cells on unmeasured variables are left out.
    place
        Path of the study's folder from the notebook.
    """
    others = list(_steps(holdings(study)))
    yield question(study)
    yield opening(place, others)
    yield from others


def _steps(held: Holdings) -> Iterator[Cell]:
    yield from _cube(held)
    if "nc1" in held.variables:
        yield from _canonical(held)
    if "accuracy" in held.variables:
        yield from _training(held)
    if "nc1" in held.variables:
        yield from _collapse(held)
    if "locality" in held.variables:
        yield from _elasticity(held)
    if held.axes and "nc1" in held.variables:
        yield from _axes(held)
    if held.claims:
        yield from _claims()
    yield from _answer()


def _cube(held: Holdings) -> Iterator[Cell]:
    first = {axis: values[0] for axis, values in held.axes.items()}
    where = [f"where = {literal(first)}  # the setting that is looked at; others are compared below"] if first else []
    sizes = "{group: dict(node.sizes) for group, node in cube.children.items()}"
    yield code("cube = study.cube  # an xarray.DataTree; no torch is needed to read it", *where, sizes)


def _training(held: Holdings) -> Iterator[Cell]:
    yield markdown("## Did the network fit?", "Accuracy at the last epoch: mean and 95 % interval over the seeds.")
    where = choice(held, split=False, epoch=held.trained)
    yield code(
        f'accuracy = cube.elastic.interval("accuracy", split=None, {where})',
        "accuracy.reset_coords(drop=True).to_dataframe()",
    )
    yield code(f"study.plot.training_curves({choice(held, split=False)})")


def _canonical(held: Holdings) -> Iterator[Cell]:
    yield markdown(
        "## Does the network collapse?",
        "NC1 to NC4 at the last hidden layer, and the accuracy, over the epochs; at collapse NC1 to NC4 are 0.",
    )
    yield code(f"study.plot.neural_collapse({choice(held, split=False)})")


def _collapse(held: Holdings) -> Iterator[Cell]:
    yield markdown(
        "## How far is each layer collapsed?",
        "`nc1` is the variability within classes against the spread of the class means; 0 is collapse.",
    )
    yield code(f"study.plot.depth_profile({choice(held)})")
    if held.fits:
        yield markdown(
            "If layers separate the classes alike (the law of equi-separation), the log of the fuzziness falls on a "
            "line, by the factor `ratio` a layer. One fit a seed, hidden layers, last probe."
        )
        yield code(
            f"law = cube.elastic.separation_law({choice(held, epoch=held.epoch)})",
            'law[["ratio", "r_squared"]].reset_coords(drop=True).to_dataframe()',
        )
        yield code(f"study.plot.separation_law({choice(held)})")
    yield markdown(
        "## Which layer collapses first?",
        "Epoch from which a layer has made half of its fall of log `nc1`, seed by seed; NaN: not so far.",
    )
    yield code(f"cube.elastic.onset({choice(held)}).to_pandas()")
    yield code(f"study.plot.onset_map({choice(held)})")


def _elasticity(held: Holdings) -> Iterator[Cell]:
    yield markdown(
        "## Does local elasticity follow?",
        "`locality` is how much a step on a sample moves its own class against the others; 1 is not local at all.",
    )
    if "nc1" in held.variables:
        yield code(f"study.plot.locality_collapse({choice(held)})")
        yield markdown(
            "By how many probes changes of locality come before those of `nc1`, seed by seed; below 0 they come "
            "after. A dozen probes are few for this: rely only on what the seeds agree on."
        )
        yield code(f"cube.elastic.lead({choice(held)}).to_pandas()")
    if "relative_similarity" in held.variables:
        yield code(f"study.plot.response_matrices({choice(held, split=False)})")


def _axes(held: Holdings) -> Iterator[Cell]:
    for axis, values in held.axes.items():
        if len(values) < 2:
            continue
        yield markdown(
            f"## What does {inert(axis, heading=True)} change?",
            f"Ratio of `nc1` at the last probe, at {inert(values[-1])} over {inert(values[0])}, paired by seed, and "
            "the effect size (Hedges' g) of its logarithm.",
        )
        first = {other: labels[0] for other, labels in held.axes.items() if other != axis}
        where = literal({**first, "epoch": held.epoch})
        split = "" if held.split == "train" else f", split={literal(held.split)}"
        ends = keyword(axis, (values[-1], values[0]))
        yield code(
            f'found = cube.elastic.difference("nc1", log=True, where={where}{split}, {ends})',
            'ratio = np.exp(found[["difference", "lower", "upper"]].rename(difference="ratio"))',
            'ratio.assign(effect_size=found["effect_size"]).reset_coords(drop=True).to_dataframe()',
        )
        yield code(f"study.plot.axis_comparison(axis={literal(axis)})")


def _claims() -> Iterator[Cell]:
    yield markdown("## What was claimed, and does it hold?")
    yield code(
        "checked = elastic.check(study)",
        'pd.set_option("display.max_colwidth", None, "display.html.use_mathjax", False)',
        "pd.DataFrame(",
        "    {",
        '        "claim": verdict.sentence,',
        '        "verdict": finding.verdict,',
        "        **finding.setting,",
        '        "effect": finding.effect,',
        '        "lower": finding.lower,',
        '        "upper": finding.upper,',
        '        "seeds": finding.seeds,',
        "    }",
        "    for verdict in checked.verdicts",
        "    for finding in verdict.findings",
        ")",
    )


def _answer() -> Iterator[Cell]:
    yield markdown("## What is the answer?", "Each sentence hangs on its interval over the seeds (95 %).")
    yield code("Markdown(conclusion(cube))")
