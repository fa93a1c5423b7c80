"""How a command ends: an exit code that scripts can read and one line, whatever happens."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
from pathlib import Path

import pytest
from support import processes, studies

import elastic
from elastic import cli, ending, listing
from elastic.__main__ import main
from elastic.errors import Stopped

ROOT = Path(elastic.__file__).parents[1]
CLAIMS = "claims: [{name: collapse_deepens_with_depth}]\n"


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Return ``(*arguments) -> (exit code, standard output, lines of standard error)``, run in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["elastic", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        result = capsys.readouterr()
        assert "Traceback" not in result.err + result.out
        return code, result.out, result.err.splitlines()

    return run


@pytest.fixture(scope="module")
def sealed(few_metrics, tmp_path_factory):
    return studies.run(tmp_path_factory.mktemp("sealed"), text=studies.SMALL + CLAIMS).folder


@pytest.fixture
def study(sealed, tmp_path):
    shutil.copytree(sealed, tmp_path / "results/small")
    return Path("results/small")


def flip(path):
    """Flip one bit in the middle of a file."""
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 4
    path.write_bytes(raw)


# Damaged files

READING = {
    "check": ["check"],
    "plot": ["plot"],
    "report": ["report"],
    "tables": ["export", "--csv"],
    "netcdf": ["export", "--netcdf"],
    "latex": ["export", "--latex"],
    "notebook": ["notebook"],
}


@pytest.mark.parametrize("reading", READING)
@pytest.mark.parametrize("variable", ["collapse/nc1", "collapse/layer"])
def test_a_damaged_chunk_is_told_in_one_line(command, study, reading, variable):
    (chunk,) = (path for path in (study / "cube.zarr" / variable / "c").rglob("*") if path.is_file())
    flip(chunk)
    name, *options = READING[reading]
    code, _, lines = command(name, study, *options)
    assert code == 4
    (line,) = [line for line in lines if line.startswith("elastic: ")]
    assert str(chunk) in line
    assert "; try " in line


@pytest.mark.parametrize("name", ["study.json", "protocol.yaml"])
@pytest.mark.parametrize("reading", [["status"], ["run"], *READING.values()], ids=" ".join)
def test_damage_of_what_was_asked_is_told_in_one_line(command, study, tmp_path, reading, name):
    path = study / name
    path.write_bytes(path.read_bytes().replace(b"small", b"smell"))
    first, *options = reading
    arguments = [studies.write(tmp_path, studies.SMALL), "--set", "optimizer.lr=0.3"] if first == "run" else [study]
    code, out, lines = command(first, *arguments, *options)
    assert (code, out) == (4, "")
    (line,) = lines
    assert line.startswith(f"elastic: {path}: `{name}` should be ")
    assert re.search("; try .*deleting it and running", line)


@pytest.mark.parametrize("reading", [["status"], ["check"], ["report"]], ids=" ".join)
def test_a_damaged_record_of_a_run_under_way_is_told_in_one_line(command, study, reading):
    (study / "manifest.sha256").unlink()
    files = [path for path in study.glob("runs/*/*") if path.suffix == ".npz"] or list(study.glob("runs/*/journal/*"))
    for path in files:
        flip(path)
    code, _, lines = command(*reading, study)
    if code == 0:
        assert reading == ["status"]  # which reads no records
        return
    assert code == 4
    (line,) = lines
    assert any(str(path) in line for path in files)


@pytest.mark.parametrize("reading", [["status"], ["check"]], ids=" ".join)
def test_an_ended_run_without_its_records_does_not_read_as_one_to_come(command, study, reading):
    (study / "manifest.sha256").unlink()
    lost = next(study.glob("runs/*/journal"))
    shutil.rmtree(lost)
    code, _, lines = command(*reading, study)
    assert code == 4
    (line,) = lines
    assert line.startswith(f"elastic: {lost}: the records should be there once a run has ended; found none")


# Errors of elastic's own


def test_an_error_of_elastic_s_own_keeps_its_traceback_in_a_file(command, monkeypatch, tmp_path):
    def fails(kinds):
        raise TypeError("a mistake\nof ours")

    monkeypatch.setattr(listing, "names", fails)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code, out, lines = command("list")
    assert (code, out) == (70, "")
    (line,) = lines
    assert "should run without an internal error; found TypeError: a mistake; try reporting it with " in line
    (kept,) = tmp_path.glob("elastic-traceback-*.txt")
    assert line.endswith(str(kept))
    assert "raise TypeError" in kept.read_text()


def test_an_error_whose_traceback_cannot_be_kept_is_one_line_too(command, monkeypatch, tmp_path):
    monkeypatch.setattr(listing, "names", lambda kinds: 1 // 0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    code, _, lines = command("list")
    assert code == 70
    assert len(lines) == 1
    assert re.search(r"found ZeroDivisionError: .*try reporting it with its place, .*test_exit_codes\.py:\d+", lines[0])


def test_a_path_that_cannot_be_used_is_a_mistake(command, study, monkeypatch):
    Path("taken").write_text("")
    monkeypatch.setattr("elastic.report.page.page", lambda study: pytest.fail("drawn before its file is known good"))
    for arguments in (["report", study, "-o", "taken/a.html"], ["notebook", study, "-o", "taken/a.ipynb"]):
        code, _, (line,) = command(*arguments)
        assert code == 2
        assert "taken" in line
        assert "should be" in line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_stops_a_command_is_its_exit_code(command, monkeypatch, number):
    def stops(kinds):
        raise Stopped(number)

    monkeypatch.setattr(listing, "names", stops)
    code, out, lines = command("list")
    assert (code, out) == (128 + number, "")
    assert [line for line in lines if line] == ["elastic: stopped; run the same command to resume"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_counts_that_became_an_error_of_an_import(command, monkeypatch, number):
    def loads(kinds):
        try:
            os.kill(os.getpid(), number)
            signal.sigtimedwait([], 10)  # until it is handled
        except KeyboardInterrupt:
            raise ImportError("initialization failed") from None  # as a module in C++ does

    monkeypatch.setattr(listing, "names", loads)
    with processes.default_signals():
        before = signal.getsignal(number)
        code, _, lines = command("list")
        assert signal.getsignal(number) is before
    assert code == 128 + number
    assert lines == ["elastic: stopped; run the same command to resume"]


def test_a_signal_that_is_ignored_stays_ignored(command, monkeypatch):
    monkeypatch.setattr(listing, "names", lambda kinds: os.kill(os.getpid(), signal.SIGHUP) or {})
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
    try:
        assert command("list")[0] == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_closed_streams_lead_nowhere(command, monkeypatch):
    """As in `elastic list >&- 2>&-`, or for a program without a console."""
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    monkeypatch.setattr(sys, "argv", ["elastic", "list"])
    main()
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        assert stream.name == os.devnull
        stream.close()


def test_a_reader_that_has_gone_ends_a_command_without_an_error(monkeypatch, capfd):
    """As in `elastic list | head`, where the pipe is closed before the last of the output is written."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", encoding="utf-8") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        monkeypatch.setattr(cli, "cli", lambda **_: pipe.write("the last line"))
        assert ending.run_to_its_end(lambda stop: None) == 0
    assert capfd.readouterr().err == ""


# Terminals that lack characters

#: A locale without characters beyond ASCII, which is the encoding of streams and of files that do not name theirs.
ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


#: Runs several commands, each as a program, in an interpreter that started once.
COMMANDS = """
import json, sys
from elastic.__main__ import main
for arguments, expected in json.loads(sys.argv[1]):
    sys.argv = ["elastic", *arguments]
    code = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    assert code == expected, (arguments, code)
"""


def test_an_ascii_terminal_shows_substitutes(tmp_path):
    text = (
        studies.SMALL.replace("A small study", "Größe ‖h‖ → ∞")
        + "claims: [{name: above, variable: loss, threshold: -9}]\n"
    )
    studies.write(tmp_path, text)
    quick = [word for setting in (*studies.NO_PROBES, "training.epochs=1") for word in ("--set", setting)]
    unset = {key: value for key, value in os.environ.items() if key not in ("PYTHONIOENCODING", "LC_ALL", "LANG")}
    environment = {**unset, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **ASCII}
    commands = [
        (["run", "small.yaml", *quick], 0),
        (["run", "small.yaml", *quick, "--set", "training.epochs=2"], 2),  # refused, with an arrow in the message
        (["check", "small"], 0),
        (["show", "nc1"], 0),
        (["report", "small"], 0),
    ]
    done = processes.run([sys.executable, "-c", COMMANDS, json.dumps(commands)], env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "tr(?_W ?_B?)/K" in done.stdout  # of show nc1
    assert "Traceback" not in done.stderr
    assert (done.stdout + done.stderr).isascii()


def test_the_only_exits_with_1_are_those_of_a_refuted_claim_and_of_a_study_that_was_not_reproduced():
    source = "".join(path.read_text() for path in Path(cli.__file__).parent.glob("*.py"))
    assert re.findall(r"SystemExit\(.*\b1\b.*\)", source) == ["SystemExit(1)"] * 2
    assert re.search(r"if checked\.refuted:\n\s+raise SystemExit\(1\)", source)
    assert re.search(r"if not reproduction\.reproduced:\n\s+raise SystemExit\(1\)", source)
