"""Variables that a later release redefines, so that the earlier definition gets another name.

A variable is defined by its ``formula``. A run started by an earlier release keeps its definitions to the end; in the
cube its values have the current name of their formula, next to those of newer runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from elastic.cube.variable import Variable


def formula_of(variable: Variable) -> str:
    """Return the formula of a variable, or ""."""
    return str(variable.attrs.get("formula", ""))


def names_now(known: Iterable[Variable], today: Iterable[Variable]) -> dict[str, str]:
    """Return the current names of variables whose formula was renamed.

    Parameters
    ----------
    known
        Variables of one group when the run was started.
    today
        Variables of the group in this release.

    Examples
    --------
    >>> def one(name, formula):
    ...     return Variable("elasticity", name, (), {"formula": formula})
    >>> names_now([one("stderr", "s/√n"), one("mean", "Σx/n")], [one("stderr", "jackknife"), one("plain", "s/√n")])
    {'stderr': 'plain'}
    """
    here: Mapping[str, Variable] = {variable.name: variable for variable in today}
    names = {}
    for variable in known:
        formula, same = formula_of(variable), here.get(variable.name)
        if not formula or same is None or formula_of(same) == formula:
            continue
        others = [one for one in here.values() if formula_of(one) == formula and one.dims == variable.dims]
        if others:
            names[variable.name] = others[0].name
    return names
