"""Variables that a later release defines otherwise, and whose earlier definition has another name since.

A variable is what its ``formula`` says. A run that was begun by an earlier release is recorded to its end as it was
begun; its numbers stand in the cube under the name that their formula has now, beside those of newer runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from elastic.cube.variable import Variable


def formula_of(variable: Variable) -> str:
    """Return what a variable says of itself; "" where it says nothing."""
    return str(variable.attrs.get("formula", ""))


def names_now(known: Iterable[Variable], today: Iterable[Variable]) -> dict[str, str]:
    """Return the names, today, of variables whose formula has another name than it had; the others are left out.

    Parameters
    ----------
    known
        Variables of one group, as a run was begun with them.
    today
        Variables of the group as they are measured now.

    Examples
    --------
    >>> def one(name, formula):
    ...     return Variable("elasticity", name, (), {"formula": formula})
    >>> names_now([one("stderr", "s/√n"), one("mean", "Σx/n")], [one("stderr", "jackknife"), one("plain", "s/√n")])
    {'stderr': 'plain'}
    """
    here: Mapping[str, Variable] = {variable.name: variable for variable in today}
    found = {}
    for variable in known:
        formula, same = formula_of(variable), here.get(variable.name)
        if not formula or same is None or formula_of(same) == formula:
            continue
        others = [one for one in here.values() if formula_of(one) == formula and one.dims == variable.dims]
        if others:
            found[variable.name] = others[0].name
    return found
