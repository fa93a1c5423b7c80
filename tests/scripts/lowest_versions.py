"""Try the lower bounds of ``pyproject.toml``: install the lowest versions and run the fast tests.

    python tests/scripts/lowest_versions.py            # minutes, and about 3 GB in a temporary folder that is removed
    python tests/scripts/lowest_versions.py --in DIR   # keep the environment in DIR, or take the one that is there

Only direct requirements are lowered: what they need in turn is the newest that they allow. No image is compared (every
version of Matplotlib draws its own), and the deprecations that old releases meet in new ones of other packages pass.
Every other warning is an error, as in the suite. Needs nothing but Python and pip.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]

#: The fast part of the suite: no training of many runs, no browser, no notebook that is executed.
FAST = (
    "tests/analysis", "tests/claims", "tests/cube", "tests/data", "tests/export", "tests/figures", "tests/metrics",
    "tests/protocol", "tests/theory", "tests/display/test_display.py", "tests/measure/test_measure.py",
    "tests/measure/test_ordinary_datasets.py", "tests/notebook/test_cells.py", "tests/report/test_tables.py",
)  # fmt: skip

#: Checkers and browsers: the fast part asks for none.
UNUSED = ("mypy", "playwright", "ruff", "elastic-collapse")

OPTIONS = ("--import-mode=importlib", "--strict-markers", "-q")


def lowest() -> Iterator[str]:
    """Yield every direct requirement at the lowest version that it allows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    for requirement in [*project["dependencies"], *(one for extra in extras for one in extra)]:
        name, bound = re.fullmatch(r"([\w.-]+)(?:\[.*\])?(?:>=([\w.]+))?", requirement).groups()
        if name not in UNUSED:
            yield f"{name}=={bound}"


def environment(folder: Path) -> Path:
    """Return the Python of an environment with these versions, made where it is missing."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", *lowest()], check=True)
    subprocess.run([python, "-m", "pip", "check"], check=True)
    return python


def fast_tests(python: Path, more: list[str]) -> int:
    """Run the fast part of the suite and return pytest's exit code."""
    command = [python, "-m", "pytest", "-p", "no:cacheprovider", "-o", f"addopts={' '.join(OPTIONS)}"]
    command += ["-W", "ignore::DeprecationWarning", *(more or FAST)]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False).returncode


def main() -> int:
    """Make the environment, say what is in it, run the tests."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--in", dest="folder", type=Path, help="folder of the environment, kept")
    parser.add_argument("tests", nargs="*", help="other tests than the fast part")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        python = environment((asked.folder or Path(temporary) / "lowest").absolute())
        print("\n".join(lowest()), flush=True)
        return fast_tests(python, asked.tests)


if __name__ == "__main__":
    sys.exit(main())
