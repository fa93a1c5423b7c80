"""``data.json``: digests of the data of a study, how to get them, and under which licence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from elastic.study import Study


@dataclass(frozen=True)
class Source:
    """Where a data set comes from.

    Attributes
    ----------
    get
        How to get it.
    licence
        As its authors state it; "" if they state none.
    cite
        Whom to cite.
    """

    get: str
    licence: str
    cite: str


DRAWN = Source("drawn from the protocol's seed; nothing to get", "none needed", "")
OWN = Source("not part of this archive: ask the authors of the study", "", "")

#: Data sets that elastic reads, by name.
SOURCES: Mapping[str, Source] = {
    "digits": Source(
        "comes with scikit-learn (sklearn.datasets.load_digits)",
        "CC BY 4.0",
        "E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository (1998)",
    ),
    "fashion_mnist": Source(
        "apt-get install dataset-fashion-mnist, or the four IDX files of github.com/zalandoresearch/fashion-mnist",
        "MIT",
        "H. Xiao, K. Rasul and R. Vollgraf, Fashion-MNIST, arXiv:1708.07747 (2017)",
    ),
    "cifar10": Source(
        "cifar-10-python.tar.gz of www.cs.toronto.edu/~kriz/cifar.html, unpacked",
        "",
        "A. Krizhevsky, Learning multiple layers of features from tiny images (2009)",
    ),
    "cifar100": Source(
        "cifar-100-python.tar.gz of www.cs.toronto.edu/~kriz/cifar.html, unpacked",
        "",
        "A. Krizhevsky, Learning multiple layers of features from tiny images (2009)",
    ),
    "gaussian_mixture": DRAWN,
    "linked_rings": DRAWN,
}


def data_of(study: Study) -> dict[str, Any]:
    """Return what is known of a study's data: a digest for each run, and the source of a data set that elastic reads.

    The digest is the SHA-256 of the samples as the run used them, after the choice of classes, split and
    normalisation. `elastic reproduce` compares it before it trains.
    """
    digests: dict[str, list[str]] = {}
    for run in study.runs():
        if digest := study.run_report(run.cell).get("data_digest"):
            digests.setdefault(str(digest), []).append(run.cell)
    protocol = study.facts["protocol"]
    options = {} if study.recorded else dict(protocol.get("data") or {})
    name = str(options.get("name", ""))
    return {
        "name": name or None,
        "options": options,
        "source": asdict(SOURCES.get(name, OWN)),
        "included": False,
        "digests": [{"sha256": digest, "runs": cells} for digest, cells in digests.items()],
    }
