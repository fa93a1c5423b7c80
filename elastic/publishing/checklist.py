"""`elastic checklist`: the factual questions of reproducibility checklists, answered from a study."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from elastic.display.markdown import inert
from elastic.display.recorded import study_title
from elastic.publishing.checklist_facts import Facts
from elastic.report.citation import modules
from elastic.study import Study

#: Marks an answer that only the authors can give.
HUMAN = "**The authors must answer.**"

#: Answers: the study contains the answer, a part of it, or none.
YES, PARTLY, OPEN = "yes", "in part", "open"


@dataclass(frozen=True)
class Answer:
    """One question of a checklist.

    Attributes
    ----------
    question
        Short form of the question.
    state
        "yes", "in part" or "open".
    text
        The answer.
    """

    question: str
    state: str
    text: str


Question = tuple[str, Callable[[Facts], tuple[str, str]]]


def _yes(read: Callable[[Facts], str]) -> Callable[[Facts], tuple[str, str]]:
    return lambda facts: (YES, read(facts))


def _partly(read: Callable[[Facts], str], rest: str) -> Callable[[Facts], tuple[str, str]]:
    return lambda facts: (PARTLY, f"{read(facts)} {HUMAN} {rest}")


def _human(what: str) -> Callable[[Facts], tuple[str, str]]:
    return lambda facts: (OPEN, f"{HUMAN} {what}")


def _code(facts: Facts) -> tuple[str, str]:
    if facts.study.recorded:
        return PARTLY, f"The archive holds cube, settings and claims. {HUMAN} Publish the training loop beside it."
    allow = modules(facts.protocol)
    text = "`elastic publish` writes one archive; `elastic reproduce` runs it again and compares every variable."
    if allow:
        return PARTLY, f"{text} {HUMAN} Publish the code of {', '.join(sorted(allow))} beside it."
    return YES, text


def _seeds(facts: Facts) -> tuple[str, str]:
    if len(facts.seeds) < 2:
        return PARTLY, f"{facts.seeds_and_runs()} {HUMAN} One seed shows no variability: add seeds, or say why not."
    return YES, facts.seeds_and_runs()


CHECKLISTS: Mapping[str, tuple[Question, ...]] = {
    "NeurIPS paper checklist": (
        ("1. Claims", _partly(Facts.claims, "Do abstract and introduction state these claims and no wider ones?")),
        (
            "2. Limitations",
            _human("The study shows only which data, networks and settings were tried."),
        ),
        ("3. Theory, assumptions and proofs", _human("Nothing in a study proves a theorem.")),
        ("4. Reproducibility of the experiments", _code),
        ("5. Open access to data and code", _partly(Facts.access, "Give the address under which the archive stands.")),
        ("6. Experimental setting", _yes(Facts.setup)),
        ("7. Statistical significance", _yes(Facts.intervals)),
        ("8. Compute resources", _partly(Facts.compute, "Add runs that were tried before and are not in this study.")),
        ("9. Code of ethics", _human("")),
        ("10. Broader impacts", _human("")),
        ("11. Safeguards", _human("The archive holds no trained weights.")),
        ("12. Licences of existing assets", _partly(Facts.access, "Check the licences of models and of further data.")),
        (
            "13. New assets",
            _partly(lambda facts: "The archive documents itself (README.md, RO-Crate).", "Its licence?"),
        ),
        ("14. Crowdsourcing and human subjects", _human("")),
        ("15. Approval of an ethics board", _human("")),
        ("16. Use of language models", _human("")),
    ),
    "Machine learning reproducibility checklist": (
        ("A clear description of setting, algorithm and model", _yes(Facts.setup)),
        ("An analysis of complexity", _human("Times are below; an analysis is the paper's.")),
        ("Statistics of the data: number of samples", _yes(Facts.samples)),
        ("Splits of the data, and samples that were left out", _partly(Facts.samples, "Was anything excluded before?")),
        ("A link to the data", _yes(Facts.access)),
        ("Dependencies of the code", _yes(Facts.versions)),
        ("Code for training and evaluation", _code),
        ("Range of hyper-parameters, and how they were chosen", _human("See the comments in protocol.yaml.")),
        ("Number of training and evaluation runs", _seeds),
        ("The measure or statistic that is reported", _yes(Facts.intervals)),
        ("Central tendency and variation", _yes(Facts.claims)),
        ("Average run time, or energy", _partly(Facts.compute, "Energy was not measured.")),
        ("Computing infrastructure", _yes(Facts.compute)),
    ),
}


def answers(study: Study) -> dict[str, list[Answer]]:
    """Return the answers to each checklist."""
    facts = Facts(study)
    return {
        name: [Answer(asked, *answer(facts)) for asked, answer in questions] for name, questions in CHECKLISTS.items()
    }


def checklist(study: Study) -> str:
    """Return the answers that a study gives to the questions of reproducibility checklists, as Markdown.

    Questions that only the authors can answer are marked. Texts of the study are escaped, whatever they contain.
    """
    return "\n".join(_lines(study)) + "\n"


def _lines(study: Study) -> Iterator[str]:
    by_heading = answers(study)
    every = [one for answered in by_heading.values() for one in answered]
    yield f"# Checklists: {inert(study_title(study.facts['protocol']), heading=True)}"
    yield ""
    yield (
        f"Answered from the study `{study.name}` (digest `{study.digest}`): "
        f"{sum(one.state == YES for one in every)} questions whole, {sum(one.state == PARTLY for one in every)} in "
        f"part, {sum(one.state == OPEN for one in every)} left to the authors."
    )
    for name, answered in by_heading.items():
        yield from ("", f"## {name}", "")
        for one in answered:
            yield f"- [{'x' if one.state == YES else ' '}] **{one.question}** ({one.state}). {one.text.strip()}"
