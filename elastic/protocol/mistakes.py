"""Which of several mistakes in a file is told: the first that its reader comes to."""

from __future__ import annotations

from elastic.errors import ElasticError
from elastic.protocol.explanation import Problem
from elastic.protocol.places import Place, Places


def first_mistake(problems: list[Problem], places: Places) -> ElasticError:
    """Return the error of the first problem in reading order, with its place and the number of the others."""
    ends = places.ends() if any(problem.is_absence for problem in problems) else {}

    def order(problem: Problem) -> Place:
        # A misspelt key explains why another one is missing: it comes before, although its line does not.
        around = problem.path[:-1]
        return (ends.get(around) or places.of_value(around)) if problem.is_absence else place_of(problem)

    def place_of(problem: Problem) -> Place:
        return places.of_key(problem.path) if problem.at_key else places.of_value(problem.path)

    first = min(problems, key=order)
    error, more = first.error, len(problems) - 1
    also = f" (and {more} more mistake{'s' if more > 1 else ''})" if more else ""
    return type(error)(error.field, error.should, error.found, error.hint + also, place=place_of(first).text)
