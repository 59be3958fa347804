"""A problem of one's own: a table, a network that somebody else fits, and the rest of the loop as digits have it.

The workshop of digits fits as well; here the network comes as ONNX. Composes the rooms; knows no table in particular.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from demlopment import archive, evaluation, recall, row
from demlopment.archive import Archive, Card
from demlopment.data import Lake, refuse_leaks, split
from demlopment.errors import DataError
from demlopment.home import Home
from demlopment.lifecycle import provenance, schooling, skew
from demlopment.lifecycle.history import History
from demlopment.lifecycle.packing import exemplar, measured
from demlopment.lifecycle.rollout import Rollout
from demlopment.lifecycle.schooling import LEFT
from demlopment.monitoring import profile
from demlopment.monitoring.strangers import centres
from demlopment.records import Examples, Scores, Snapshot, Split, Verdict
from demlopment.row import Column
from demlopment.settings import Settings
from demlopment.training.temperature import likeliest


@dataclass(frozen=True, eq=False)
class Pinned:
    """A snapshot in its four parts."""

    snapshot: Snapshot
    parts: Split


@dataclass(frozen=True, eq=False)
class Packed:
    """A network in its archive, with its scores on the test part, and what it was fitted to."""

    model: Archive
    scores: Scores
    train: Examples

    @property
    def version(self) -> str:
        return self.model.card.version


class Problem:
    """One home, one table, one set of rules, one history."""

    def __init__(
        self,
        home: Home,
        settings: Settings,
        name: str,
        classes: Sequence[str],
        columns: Sequence[Column],
        now: Callable[[], float] = time.time,
    ) -> None:
        self.home, self.settings, self.name = home, settings, name
        self.classes, self.columns, self.now = tuple(classes), tuple(columns), now
        self.lake = Lake(home.lake, classes=classes, columns=columns, copies=home.root)
        self.history = History(home.history)
        self.verdicts: list[Verdict] = []

    def pin(self, name: str) -> Pinned:
        """What the lake holds now, under a name, in four parts. Raises DataError if anything leaks between them."""
        snapshot = self.lake.pin(name, self.settings.data.salt, commit=provenance.commit())
        parts = split(self.lake.load(snapshot), snapshot.salt)
        refuse_leaks(parts, name)
        return Pinned(snapshot, parts)

    def pack(self, version: str, network: bytes, loss: float, pinned: Pinned, train: Examples | None = None) -> Packed:
        """The archive of a network: "row" (n, columns) -> "logits" (n, classes), "embedding" (n, width), all float32.

        It was fitted to `train`, by default the whole training part; `loss` is what the fit measured last on the validation
        part, in nats. Temperature and reference are of that part too: on the rows it learned from it looks surer than it is.
        """
        parts, train = pinned.parts, pinned.parts.train if train is None else train
        lineage = self._lineage(pinned.snapshot, train, loss)
        card = Card(self.name, version, self.classes, row.VERSION, 1.0, {}, lineage, columns=self.columns)
        bare = Archive(card, network, {}, b"")
        logits, embedded = _answers(network, parts.validation.images)
        card = replace(card, temperature=likeliest(logits, parts.validation.labels))
        read = evaluation.reader(replace(bare, card=card))
        scores = evaluation.evaluate_archive(replace(bare, card=card), parts.test, self.classes)
        bare = replace(bare, sample=row.encode_json(parts.test.images[exemplar(scores)], self.columns))
        middles = centres(_answers(network, train.images)[1], train.labels)
        seen = parts.validation.images
        reference = profile(seen, read(seen), embedded, centres=middles, columns=self.columns)
        answers = recall.answers(read(recall.pictures(bare.sample, self.columns)), self.classes)
        told = measured(scores)
        return Packed(replace(bare, card=replace(card, scores=told), reference=reference, answers=answers), scores, train)

    def judge(self, candidate: Packed, pinned: Pinned, champion: Packed | None = None) -> bool:
        """Put a candidate through the gate; one that is let through goes into the model store.

        Raises DataError if the champion reads other columns than the rows have by which they are judged.
        """
        if champion is not None and champion.model.card.columns != self.columns:
            raise DataError(
                f"{champion.model.card.title} reads other columns than the table has: {_named(champion.model.card.columns)}.",
                "Judge without a champion, and let users compare the two: begin a traffic plan.",
            )
        rules, gate, test = self.settings.evaluation, self.settings.gate, pinned.parts.test
        least, parts = gate.minimum_accuracy, pinned.parts
        checks = schooling.every_check(candidate.model, candidate.train, parts, self.classes, rules, least)
        against = None if champion is None else evaluation.evaluate_archive(champion.model, test, self.classes)
        found = evaluation.slices(test, self.classes, self.columns)
        verdict = self.record(schooling.judged(candidate.model, candidate.scores, against, checks, found, gate)[0])
        if verdict.decision != "promote":
            return False
        archive.write(self.home.models, candidate.model)
        return True

    def bring_up(self, rollout: Rollout, candidate: Packed) -> None:
        """As `skew.bring_up`, with the verdict in this history."""
        skew.bring_up(rollout, archive.place(self.home.models, candidate.model.card), self.record)

    def record(self, verdict: Verdict) -> Verdict:
        """Write a verdict into the history, whoever reached it."""
        self.history.record(verdict, self.now())
        self.verdicts.append(verdict)
        return verdict

    def _lineage(self, snapshot: Snapshot, train: Examples, loss: float) -> dict[str, Any]:
        return {
            "snapshot": snapshot.name,
            "snapshot_version": snapshot.version,
            "digest": snapshot.digest,
            "salt": snapshot.salt,
            "examples": len(train),
            "commit": provenance.commit(),
            "environment": provenance.environment(),
            LEFT: loss,
        }


def _named(columns: Sequence[Column]) -> str:
    return ", ".join(f"{name} {low:g} to {high:g}" for name, low, high in columns) or "none"


def _answers(network: bytes, rows: row.Row) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Logits (n, classes) and embeddings (n, width)."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    logits, embedding = session.run(["logits", "embedding"], {"row": rows})
    return np.asarray(logits, np.float32), np.asarray(embedding, np.float32)
