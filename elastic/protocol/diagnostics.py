"""Ordering of the errors in a file by their location."""

from __future__ import annotations

from elastic.errors import ElasticError
from elastic.protocol.positions import Place, Places
from elastic.protocol.validation_errors import Problem

#: Most errors that a message lists.
MOST = 50


def first_mistake(problems: list[Problem], places: Places) -> ElasticError:
    """Return the error of the first problem in reading order with its location; further errors are its ``others``."""
    ends = places.ends() if any(problem.is_absence for problem in problems) else {}

    def order(problem: Problem) -> Place:
        # A misspelt key explains why another one is missing, so it comes first, whatever its line.
        around = problem.path[:-1]
        return (ends.get(around) or places.of_value(around)) if problem.is_absence else place_of(problem)

    def place_of(problem: Problem) -> Place:
        return places.of_key(problem.path) if problem.at_key else places.of_value(problem.path)

    sorted_problems = sorted(_unexplained(problems), key=order)
    listed = [(problem.error, place_of(problem).text) for problem in sorted_problems[:MOST]]
    placed = [error.at(text) if text else error for error, text in listed]
    first, *others = {str(error): error for error in placed}.values()
    return first.with_others(others, max(0, len(sorted_problems) - MOST))


def _unexplained(problems: list[Problem]) -> list[Problem]:
    """Drop problems of missing keys that are explained by a misspelt key."""
    absent = {
        (problem.path[:-1], repr(problem.path[-1])) for problem in problems if problem.path and problem.is_absence
    }
    if not absent:
        return problems
    owners = {owner for owner, _ in absent}
    meant = {
        (problem.path[:-1], problem.error.hint)
        for problem in problems
        if problem.at_key and problem.path[:-1] in owners
    }
    return [
        problem
        for problem in problems
        if not (problem.is_absence and problem.path and (problem.path[:-1], repr(problem.path[-1])) in meant)
    ]
