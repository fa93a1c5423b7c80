"""Which claims of a study were registered before training, and which were added, changed or withdrawn later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from elastic.errors import StudyError
from elastic.protocol.canonical import digest
from elastic.study.claim_history import CLAIMS, RECORDED, RESTART, VERDICTS, Entry, claims_digest, read_history

if TYPE_CHECKING:
    from elastic.study.study import Study

#: What is known of a claim.
BEFORE, DURING, AFTER, UNKNOWN = "before training", "during training", "after a cube was seen", "not recorded"

_PHRASES = {
    BEFORE: "registered before training",
    DURING: "added or changed while runs had records",
    AFTER: "added or changed after a cube was seen",
    UNKNOWN: "whose registration is unknown",
}


@dataclass(frozen=True)
class Standing:
    """When the claims of a study were registered.

    Attributes
    ----------
    digest
        SHA-256 of the claims as they are now (`elastic.study.claim_history.claims_digest`).
    registered
        When the present set of claims was first registered, by the clock of the machine; "" if not recorded.
    claims
        For each claim one of "before training", "during training", "after a cube was seen" and "not recorded".
    changed
        For each claim whether an earlier version of it, with other options, was registered before.
    withdrawn
        Claims registered before training and withdrawn since.
    seeds_at_first_verdict
        Seeds of the study at the first verdicts; None if there were none, or that is not recorded.
    seeds_added, seeds_dropped
        Seeds added since the first verdict, and seeds removed since.
    verdicts
        How often verdicts were computed on other seeds or claims than before.
    note
        Why the history is not available; "" if it is.
    recorded_at_first_verdict
        Seeds that had records at the first verdicts, if runs had none or had not ended then; else None.
    """

    digest: str
    registered: str
    claims: tuple[str, ...]
    changed: tuple[bool, ...]
    withdrawn: tuple[Mapping[str, Any], ...]
    seeds_at_first_verdict: tuple[Any, ...] | None
    seeds_added: tuple[Any, ...]
    seeds_dropped: tuple[Any, ...]
    verdicts: int
    note: str = ""
    recorded_at_first_verdict: tuple[Any, ...] | None = None

    @property
    def frozen(self) -> bool:
        """Whether all claims were registered before training, none withdrawn, and no seed added after a verdict."""
        stood = all(one == BEFORE for one in self.claims)
        return stood and not (self.withdrawn or self.seeds_added or self.seeds_dropped or self.note)

    def to_json(self) -> dict[str, Any]:
        """Return the registration of the claims as plain data."""
        facts = asdict(self)
        if self.recorded_at_first_verdict is None:  # as in verdicts of earlier releases, whose bytes stay
            del facts["recorded_at_first_verdict"]
        return {**facts, "frozen": self.frozen}

    def late(self, number: int) -> str:
        """Return how a claim was registered after training began; "" if before, or if that is not recorded."""
        if self.claims[number] in (BEFORE, UNKNOWN):
            return ""
        return f"{'changed' if self.changed[number] else 'added'} {self.claims[number]}: exploratory"

    def lines(self) -> list[str]:
        """Return what qualifies the verdicts, one sentence per line."""
        counts = {one: self.claims.count(one) for one in (BEFORE, DURING, AFTER, UNKNOWN) if one in self.claims}
        lines = [f"{_of(count, len(self.claims))} {_PHRASES[one]}" for one, count in counts.items()]
        if any(self.changed):
            lines.append(f"{sum(self.changed)} changed since an earlier form was registered")
        if self.withdrawn:
            names = ", ".join(str(claim.get("name")) for claim in self.withdrawn)
            lines.append(f"{len(self.withdrawn)} that were registered before training are no longer claimed: {names}")
        lines += _of_seeds(self)
        return [*lines, *([self.note] if self.note else []), f"digest of the claims (SHA-256): {self.digest}"]


def _of(count: int, total: int) -> str:
    """Return how many claims.

    >>> _of(3, 3), _of(1, 3), _of(1, 1)
    ('all 3 claims', '1 of 3 claims', 'the claim')
    """
    if count == total:
        return "the claim" if total == 1 else f"all {total} claims"
    return f"{count} of {total} claims"


def _of_seeds(standing: Standing) -> list[str]:
    if standing.seeds_at_first_verdict is None:
        return []
    first, early = len(standing.seeds_at_first_verdict), standing.recorded_at_first_verdict
    seeds = f"{first} {'seed' if first == 1 else 'seeds'}"
    on = seeds if early is None else f"{len(early)} of {seeds}, before all runs had ended"
    parts = [f"first verdict on {on}{';' if early else ','} {len(standing.seeds_added)} added since"]
    if standing.seeds_dropped:
        count = len(standing.seeds_dropped)
        parts.append(f"{count} {'seed' if count == 1 else 'seeds'} of the first verdict dropped since")
    return parts


def registration_note(entry: Entry, before: Sequence[Entry] = ()) -> str:
    """Return the note on registered claims: their digest, which can be published elsewhere.

    >>> claims = {"event": "claims", "claims_digest": "c0a4", "claims": [{}], "runs_with_records": 6, "cube_seen": True}
    >>> registration_note(claims, [claims])
    '1 claim, unchanged since its registration; seeds added after a verdict are reported as such'
    """
    count = len(entry["claims"])
    last = next((one for one in reversed(before) if one["event"] == CLAIMS), None)
    if last is not None and last["claims_digest"] == entry["claims_digest"]:
        same = f"{count} claim, unchanged since its" if count == 1 else f"{count} claims, unchanged since their"
        return f"{same} registration; seeds added after a verdict are reported as such"
    text = f"{count} {'claim' if count == 1 else 'claims'} registered"
    if entry["cube_seen"]:
        text += " after the cube was seen: those that are new are reported as such"
    elif entry["runs_with_records"]:
        text += f" while {entry['runs_with_records']} runs have records: those that are new are reported as such"
    else:
        text += " before training"
    return f"{text}; SHA-256 {entry['claims_digest']} (publish it elsewhere to prove that they stood)"


def standing_of(study: Study) -> Standing:
    """Return when the claims of a study were registered; with a damaged history, ``note`` has the reason."""
    claims = list(study.facts["protocol"].get("claims") or ())
    seeds = study.facts["axes"].get("seed") or ()
    try:
        return standing(read_history(study.folder), claims, seeds)
    except StudyError as error:
        return standing((), claims, seeds, note=str(error))


def standing(
    history: Sequence[Entry], claims: Sequence[Mapping[str, Any]], seeds: Sequence[Any], note: str = ""
) -> Standing:
    """Return when claims were registered, given the history of their study.

    Parameters
    ----------
    history
        Entries, oldest first.
    claims, seeds
        As they are now.
    note
        Why there is no history.

    Examples
    --------
    >>> claim = {"name": "locality_above", "threshold": 1.0}
    >>> entry = {"event": "claims", "claims": [claim], "claims_digest": claims_digest([claim]), "axes": {},
    ...          "runs_with_records": 0, "cube_seen": False, "time": "2026-01-01T00:00:00+00:00"}
    >>> standing([entry], [claim], [0]).claims, standing([], [claim], [0]).claims
    (('before training',), ('not recorded',))
    """
    registered = [one for one in history if one["event"] == CLAIMS]
    looks = [one for one in history if one["event"] == VERDICTS]
    first = tuple(looks[0]["seeds"]) if looks else None
    early = looks[0].get(RECORDED) if looks else None
    now = {digest(dict(claim)) for claim in claims}
    changed = tuple(_is_changed(registered, claim, now) for claim in claims)
    known = claims_digest(claims)
    if not history and not note:
        note = "no history of the claims: the study is of an earlier release, or claims_history.json is lost"
    return Standing(
        digest=known,
        registered=next((str(one["time"]) for one in registered if one["claims_digest"] == known), ""),
        claims=tuple(_when(history, claim) for claim in claims),
        changed=changed,
        withdrawn=tuple(_withdrawn(history, claims, changed)),
        seeds_at_first_verdict=first,
        seeds_added=tuple(seed for seed in seeds if seed not in first) if first is not None else (),
        seeds_dropped=tuple(seed for seed in first if seed not in seeds) if first is not None else (),
        verdicts=len(looks),
        note=note,
        recorded_at_first_verdict=None if early is None else tuple(early),
    )


def _when(history: Sequence[Entry], claim: Mapping[str, Any]) -> str:
    """Return which results existed when a claim was first registered."""
    wanted = digest(dict(claim))
    for place, entry in enumerate(history):
        if entry["event"] != CLAIMS or wanted not in (digest(one) for one in entry["claims"]):
            continue
        if not entry["cube_seen"] and not entry["runs_with_records"]:
            return BEFORE
        if not any(one["event"] in (CLAIMS, RESTART) for one in history[:place]):
            return UNKNOWN  # the history begins later than the runs
        return AFTER if entry["cube_seen"] else DURING
    return UNKNOWN


def _is_changed(registered: Sequence[Entry], claim: Mapping[str, Any], now: set[str]) -> bool:
    """Return whether another version of a claim was registered before it and is no longer claimed."""
    wanted = digest(dict(claim))
    first = next((place for place, one in enumerate(registered) if wanted in map(digest, one["claims"])), None)
    earlier = [one for entry in registered[: first or 0] for one in entry["claims"]]
    return any(one.get("name") == claim.get("name") and digest(one) not in now for one in earlier)


def _withdrawn(
    history: Sequence[Entry], claims: Sequence[Mapping[str, Any]], changed: Sequence[bool]
) -> list[Mapping[str, Any]]:
    """Return the claims registered before training that are neither claimed now nor changed into one that is."""
    now = {digest(dict(claim)) for claim in claims}
    changes = Counter(str(claim.get("name")) for claim, is_changed in zip(claims, changed, strict=True) if is_changed)
    withdrawn: dict[str, Mapping[str, Any]] = {}
    for entry in (one for one in history if one["event"] == CLAIMS):
        for claim in entry["claims"]:
            if digest(claim) in now or digest(claim) in withdrawn or _when(history, claim) != BEFORE:
                continue
            if changes[str(claim.get("name"))] > 0:
                changes[str(claim.get("name"))] -= 1
            else:
                withdrawn[digest(claim)] = claim
    return list(withdrawn.values())
