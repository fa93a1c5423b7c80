"""The Recorder, which measures a model during any training loop and writes a study."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import nn

from elastic.arguments import Labelled, LossLike, Reading
from elastic.batches import Forward, Output
from elastic.checkpoint import ARITHMETIC, environment
from elastic.cube import Layout, Status, compact_journal, write_report
from elastic.errors import ElasticError, ModelError, StudyError, first_line
from elastic.models.modes import plain_modes
from elastic.models.positions import Position
from elastic.probes.contract import Probe, Subject, build_probes
from elastic.recording.coordinates import checked_coordinates
from elastic.recording.membership import Header, join
from elastic.recording.options import due_at, read_options
from elastic.recording.owned_run import OwnedRun
from elastic.recording.settings import described_settings
from elastic.recording.subject import ClassNames, build_subject, check_decay, data_digest
from elastic.recording.unseen import with_unseen_probe
from elastic.runs.layouts import layout_of
from elastic.runs.recorder import Recorded, RunRecorder
from elastic.runs.scalars import KNOWN, SCORES
from elastic.study import Study
from elastic.study.recorded_contents import journal_facts

logger = logging.getLogger("elastic")


class Recorder(RunRecorder):
    """Records collapse, elasticity, loss and accuracy of a model during your own training loop.

    Recording leaves weights, buffers, modes and random states unchanged. Several Recorders with different coordinates,
    in one or more processes, may share a folder; their runs form one cube. `elastic.open_study` opens it, and all
    commands work on it.

    Parameters
    ----------
    folder
        Folder of the study; created if missing.
    model
        The model being trained. Wrappers of torch.compile, DataParallel and DistributedDataParallel are removed.
    layers
        Submodules whose outputs are measured, in the order of depth: names, glob patterns, or "auto". Names become the
        labels of layers; "logits" is appended if the model's output is not among them.
    forward
        ``forward(model, batch)`` returns the outputs for a batch of samples; by default ``model(inputs)``, or
        ``model(**batch)`` without the labels.
    output
        Name or position of the outputs in the model's return value; by default ``logits`` of an output object, or the
        first tensor of a tuple.
    position
        Token whose features are measured in a layer [n, T, d] of a sequence model: an index, "last", or "mean". Tokens
        masked by ``attention_mask`` are ignored. By default all tokens are flattened to T·d. Stored in the cube's
        attribute ``features``.
    loss
        Loss as in `elastic.measure_elasticity`: a name, a loss of torch, or any callable (outputs, labels) -> loss.
        The recorded loss of a split is evaluated on all its samples as one batch.
    train, test
        Samples of each split: inputs [n, …] and labels (class indices [n], or the targets of the loss); a mapping of
        the model's keyword arguments including "labels", as returned by tokenizers and data collators of Hugging Face;
        a list of such mappings, or of pairs (input, label), one per sample; or a Dataset or DataLoader that yields the
        same samples on every pass. They are copied to the model's device.
    unseen
        Samples of classes that the model is never trained on and has no output for, in the same forms, with labels of
        their own: whole numbers that are no labels of trained classes. The probe ``unseen`` then measures them, unless
        ``probes`` disables it; its numbers are never mixed into those of the trained classes.
    classes
        Names of the classes in the cube: ``["cat", "dog"]`` by position, or ``{3: "cat", 5: "dog"}`` by label. By
        default the labels themselves. May name unseen classes, too.
    epochs
        The last epoch, needed by schedules; None if ``probes["at"]`` is a list.
    probes
        Same as the section ``probes`` of a protocol: options by probe, None to disable a probe; ``at``: a schedule, or
        a list of epochs, which may be fractional.
    coordinates
        Labels of the run on the axes of the cube: numbers, strings or booleans by name. All runs of a folder have the
        same names. The cube always has the dim ``seed``.
    seed
        Seed of the probes' samples; defaults to the coordinate "seed", else 0.
    weight_decay
        λ of the (λ/2)‖θ‖² on the last layer, as in torch's SGD. Used only with a squared loss, by its least-squares
        decomposition; does not affect the optimizer. Use ``settings`` for values that the report should show.
    evaluate
        Whether to evaluate loss and accuracy of every split at each record; otherwise pass them to `record` as scalars.
    restart
        Whether to replace an existing run with these coordinates.
    title, question, cites, claims
        Metadata of the study, as in a protocol file. Need to be passed by one Recorder of the folder only; None keeps
        the stored values.
    settings
        Hyperparameters by name for the report; JSON-serializable.

    Raises
    ------
    ElasticError
        If the folder holds a study with a protocol, the other runs have coordinates with other names, another process
        owns the run, layers are unknown, labels are outside the range of the outputs, …

    Examples
    --------
    >>> import tempfile, torch, elastic
    >>> x, y = torch.eye(4), torch.tensor([0, 0, 1, 1])
    >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    >>> folder = tempfile.mkdtemp()
    >>> with Recorder(folder, net, layers=["1", "2"], train=(x, y), epochs=2, probes={"elasticity": None}) as recorder:
    ...     for epoch in range(3):
    ...         if epoch:
    ...             optimizer.zero_grad()
    ...             nn.functional.cross_entropy(net(x), y).backward()
    ...             optimizer.step()
    ...         _ = recorder.record(epoch, lr=0.1)
    >>> cube = elastic.open_study(folder).cube
    >>> cube["collapse"]["nc1"].sel(split="train").sizes
    Frozen({'seed': 1, 'epoch': 3, 'layer': 3})
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        model: nn.Module,
        *,
        layers: Sequence[str] | str | None = "auto",
        forward: Forward | None = None,
        output: Output | None = None,
        position: Position | None = None,
        loss: LossLike = "cross_entropy",
        train: Labelled,
        test: Labelled | None = None,
        unseen: Labelled | None = None,
        classes: ClassNames | None = None,
        epochs: int | None = None,
        probes: Mapping[str, Any] | None = None,
        coordinates: Mapping[str, Any] | None = None,
        seed: int | None = None,
        weight_decay: float | None = None,
        evaluate: bool = True,
        restart: bool = False,
        title: str | None = None,
        question: str | None = None,
        cites: Sequence[str] | None = None,
        claims: Sequence[Mapping[str, Any]] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder, self.closed = _absolute(folder), False
        check_decay(weight_decay)
        self.coordinates, drawing = checked_coordinates(coordinates, seed)
        options = read_options(with_unseen_probe(probes, unseen), epochs)
        epochs = None if epochs is None else int(epochs)
        splits = {"train": train} if test is None else {"train": train, "test": test}
        with plain_modes():
            subject = build_subject(
                model,
                layers,
                loss,
                splits,
                Reading(forward, output, position),
                seed=drawing,
                weight_decay=weight_decay,
                memory_budget=options.memory_budget,
                class_names=classes,
                unseen=unseen,
            )
            measured = _rehearsed(subject, options.asked)  # before the folder is created
        own = described_settings(model, subject, options, epochs, weight_decay, evaluate, settings, position)
        run = join(self.folder, self.coordinates, Header(title, question, cites, claims))
        self._owned = OwnedRun(self.folder, run, epochs)
        try:
            self._owned.begin(self.coordinates, own, restart=restart)
            rounded = self._owned.rounded
            super().__init__(run, subject, *measured, due=due_at(options.at), evaluate=evaluate, rounded=rounded)
        except BaseException:
            self._owned.release()
            raise
        self._all_notes: list[str] = []
        self._digest = data_digest(subject)

    def record(self, epoch: float, *, probe: bool | None = None, **scalars: Any) -> Recorded:
        """Record the current state of the model; see `elastic.runs.recorder.RunRecorder.record`.

        Parameters
        ----------
        epoch
            Number of epochs trained so far, 0 before training; may be fractional. Must increase within one Recorder.
            After a restart of the loop a new Recorder may repeat recorded epochs with identical values.
        probe
            Whether to run the probes; None: at the first record that reaches an epoch of the schedule.
        **scalars
            Further numbers, stored as variables of the group ``training``: ``lr=0.1``.

        Returns
        -------
        Recorded
            Loss and accuracy, and whether the probes ran. To log them to TensorBoard:
            ``writer.add_scalars("loss", recorder.record(epoch).scores["loss"], epoch)``; to Weights & Biases:
            ``wandb.log({"epoch": epoch, **recorder.record(epoch).scores})``.

        Raises
        ------
        NotReproduced
            If the epoch was recorded before with other values; the old record is kept.
        ElasticError
            If the epoch does not increase, a scalar is not a number, or the model changed its device or the widths of
            its layers. Nothing is recorded then.
        """
        if self.closed:
            hint = "a new Recorder on the same coordinates"
            raise StudyError("the Recorder", "be open", "one that was closed", hint)
        self._owned.check_process()
        if clash := sorted(scalars.keys() & self.coordinates.keys()):
            expected = "have another name than the run's coordinates"
            raise StudyError(
                f"`{clash[0]}`", expected, "a coordinate of this name", f"{clash[0]}_now, or leaving it out"
            )
        recorded = super().record(epoch, probe=probe, **scalars)
        for note in self.take_notes():
            self._all_notes.append(note)
            logger.warning(note) if "not measured" in note else logger.info(note)
        return recorded

    def scores(self) -> dict[str, list[float]]:
        """Return loss and accuracy, as `elastic.runs.recorder.RunRecorder.scores`; say that a model no longer runs."""
        try:
            return super().scores()
        except (ElasticError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            expected = "run on the samples as when the Recorder was made"
            hint = "the type and structure that it had, or a Recorder made after the change"
            raise ModelError("`model`", expected, first_line(error), hint) from error

    def close(self) -> None:
        """End the run and seal the cube of the folder; a Recorder without records leaves no run.

        Has no effect in a fork of the process that made the Recorder: the run goes on there.
        """
        if self.closed or self._owned.is_forked:
            return
        try:
            recorded = self.journal.epochs()
            if recorded:
                compact_journal(self.journal)
                self._report(recorded[-1])
        finally:
            self._release()
        if recorded:
            Study(self.folder).seal()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the Recorder; after an exception the run stays unfinished and keeps its records."""
        if kind is None:
            self.close()
        elif not (self.closed or self._owned.is_forked):
            self._release()

    @property
    def study(self) -> Study:
        """The study, opened for reading: call ``recorder.study.report()`` after closing the Recorder."""
        return Study(self.folder)

    def __repr__(self) -> str:
        last = "nothing recorded" if self.last is None else f"epoch {self.last:g}"
        return f"<Recorder of {self.coordinates} at {self.folder}: {last}{', closed' if self.closed else ''}>"

    def _append(self, epoch: float, record: Mapping[str, Any]) -> None:
        if not self.journal.holds(epoch):
            self._owned.before_new_record()
        super()._append(epoch, record)

    def _release(self) -> None:
        self.closed = True
        self._owned.release(discarding=not self.journal.epochs())

    def _report(self, last: float) -> None:
        """Write status.json: the state of the run, its machine, and the seconds of each phase."""
        status = Status(int(self.journal.read(last)["status"]))
        facts = {
            "status": status.name.lower(),
            "epoch": last,
            "epochs": self._owned.epochs,
            "data_digest": self._digest,
            ARITHMETIC: self._owned.arithmetic,
            "journal": journal_facts(self._owned.folder),
            "environment": environment(self.subject.samples["train"].labels.device),
            "engine": self.engine,
            "seconds": {part: round(value, 3) for part, value in self.seconds.items()},
            "notes": self._all_notes,
        }
        write_report(self._owned.folder, facts)


def _absolute(folder: str | os.PathLike[str]) -> Path:
    """Return the folder's path from the root: a training script may change the working directory."""
    if not isinstance(folder, str | os.PathLike) or not os.fspath(folder):
        found = "an empty text" if isinstance(folder, str) else type(folder).__name__
        raise StudyError("`folder`", "be the path of a folder", found, '"results/mine"')
    return Path(folder).absolute()


def _rehearsed(subject: Subject, asked: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, Probe], Layout]:
    """Return the probes for a subject, each rehearsed, and the layout of what they record."""
    made = build_probes(subject, asked)
    for probe in made.values():
        probe.rehearse()
    return made, layout_of(subject, made, [KNOWN[name] for name in SCORES])
