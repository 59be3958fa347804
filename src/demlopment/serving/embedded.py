"""A model inside the caller's own program: the endpoint's answers without an endpoint. Knows no HTTP, and journals nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from demlopment import archive, images, row, seen
from demlopment.errors import DataError, NotReadyError
from demlopment.home import Home
from demlopment.records import Prediction
from demlopment.seen import Seen
from demlopment.serving import engine, predictions, state
from demlopment.serving.state import Version

# A file's path, what such a file holds, or for a model of pictures an array as images.prepare takes it, for one of rows the
# numbers as row.prepare takes them.
Given = Path | str | bytes | npt.NDArray[Any] | Mapping[str, Any] | Sequence[Any]
KEPT = 8  # models that `predict` remembers


@dataclass(frozen=True)
class Answer:
    """What a model says of one picture or row: the same that the endpoint answers as JSON, without a request's id."""

    label: str
    confidence: float  # probability of the label, 0 to 1
    accepted: bool  # whether it needs no human
    probabilities: Mapping[str, float]  # of each class, or of the likeliest where the card says how many
    model: str
    version: str


class Model:
    """One archive, loaded and tried out."""

    def __init__(self, path: Path | str) -> None:
        """Raises ArchiveError naming the file and what is wrong with it."""
        path = Path(path)
        card = archive.read(path).card
        self._network = engine.load(path.parent, (card.name, card.version), Version(path.name, path.name))

    def __repr__(self) -> str:
        return f"<{self._network.model} {self._network.version}>"

    def predict(self, given: Given) -> Answer:
        """What it says of one picture or row. Raises DataError for one that cannot be read."""
        return self.predict_all([given])[0]

    def predict_all(self, given: Sequence[Given]) -> list[Answer]:
        """What it says of each, in one run of the network."""
        if not given:
            return []
        prepared = [self._prepared(each) for each in given]
        probabilities, embeddings = self._network.run(seen.stacked(prepared))
        answered = zip(prepared, probabilities, embeddings, strict=True)
        return [self._answer(*each) for each in answered]

    def _prepared(self, given: Given) -> Seen:
        what = _bytes_of(Path(given)) if isinstance(given, Path | str) else given
        try:
            if self._network.columns:
                return row.prepare(what.tolist() if isinstance(what, np.ndarray) else what, self._network.columns)
            if isinstance(what, bytes | bytearray | memoryview | np.ndarray):
                return images.prepare(what)
        except seen.UNREADABLE as error:  # two sentences already
            raise DataError(str(error), "") from error
        raise DataError(f"{self!r} reads pictures, and was given {what!r:.40}.", "Give a file, its bytes or an array.")

    def _answer(self, image: Seen, probabilities: engine.Floats, embedding: engine.Floats) -> Answer:
        network = self._network
        label = network.classes[int(probabilities.argmax())]
        made = Prediction(
            "", 0.0, network.model, network.version, "direct", "", image, label, probabilities, embedding, 0.0, ""
        )
        said = predictions.in_full(made, network.classes, network.answering)
        del said["request_id"]
        return Answer(**said)


def predict(given: Given, home: Path | str = "var", model: str = "digits") -> Answer:
    """What the version says that the endpoint of a home answers with when none is named; it need not run.

    Raises NotReadyError where nothing is registered yet, DataError where that version is no archive of ours.
    """
    place = Home(Path(home))
    known = state.load(state.path(place)).models.get(model)
    if known is None:
        raise NotReadyError(f"{home} serves no model {model}.", "Fit one: demlopment data ingest, then demlopment train.")
    path = place.models / known.archive(known.default)
    return _loaded(path, path.stat().st_mtime_ns if path.exists() else 0).predict(given)


@lru_cache(KEPT)
def _loaded(path: Path, _written: int) -> Model:
    return Model(path)


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.", "Give the path of a picture or of a row.") from error
