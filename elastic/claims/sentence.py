"""The sentence of a claim, with its options inserted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elastic.registry import Entry


def stated(entry: Entry, options: Mapping[str, Any]) -> str:
    """Return a claim's sentence with its options inserted, some of them as words.

    >>> from elastic.claims.contract import ClaimFacts
    >>> facts = ClaimFacts("he2023law", "{metric} falls by {by:g} {at_epoch}{in_layer}{where}.")
    >>> options = {"metric": "nc1", "by": 2.0, "epoch": -1, "layer": "hidden_1", "where": {"decay": 0.1}}
    >>> stated(Entry("claims", "falls", print, facts), options)
    'nc1 falls by 2 at the last epoch in layer hidden_1, where decay = 0.1.'
    """
    sentence: str = entry.facts.sentence.format_map({**options, **words_of(options)})
    return sentence


def words_of(options: Mapping[str, Any]) -> dict[str, str]:
    """Return the words that a sentence may name beside the options of its claim.

    >>> sorted(words_of({}))[:3], words_of({"layer": "penultimate"})["in_layer"]
    (['against_epoch', 'at_epoch', 'between'], ' in the penultimate layer')
    """
    where = ", ".join(f"{dim} = {label}" for dim, label in (options.get("where") or {}).items())
    named, epoch = options.get("layer"), options.get("epoch", -1)
    layer = "the penultimate layer" if named == "penultimate" else f"layer {named}" if named else ""
    return {
        "where": f", where {where}" if where else "",
        "at_epoch": "at the last epoch" if epoch == -1 else f"at epoch {epoch}" if epoch >= 0 else f"at probe {epoch}",
        "in_layer": f" in {layer}" if layer else "",
        "layer": layer or "every hidden layer",
        "between": _between(options.get("least"), options.get("most")),
        "since_epoch": f", from epoch {options['since']} on" if options.get("since") else "",
        "against_epoch": "" if options.get("since") is None else f" against epoch {options['since']}",
        "group_names": " and ".join(options.get("groups") or ()),
        "until_epoch": "over all epochs" if (until := options.get("until", -1)) == -1 else f"up to epoch {until}",
        "of_words": str(options.get("of", "")).replace("_", " "),
        "from_input": " from the input on" if options.get("include_input") else "",
    }


def _between(least: float | None, most: float | None) -> str:
    if least is None:
        return "of any size" if most is None else f"below {most:g}"
    return f"above {least:g}" if most is None else f"between {least:g} and {most:g}"
