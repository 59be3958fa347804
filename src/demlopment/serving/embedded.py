"""A model inside the caller's own program: the endpoint's answers without an endpoint. Knows no HTTP, and journals nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from demlopment import archive, images
from demlopment.errors import DataError, NotReadyError
from demlopment.home import Home
from demlopment.records import Prediction
from demlopment.serving import engine, predictions, state
from demlopment.serving.state import Version

Picture = Path | str | bytes | npt.NDArray[Any]  # a file's path, what such a file holds, or an array as images.prepare takes it
KEPT = 8  # models that `predict` remembers


@dataclass(frozen=True)
class Answer:
    """What a model says of one picture: the same that the endpoint answers as JSON, without a request's id."""

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

    def predict(self, picture: Picture) -> Answer:
        """What it says of one picture. Raises DataError for one that cannot be read."""
        return self.predict_all([picture])[0]

    def predict_all(self, pictures: Sequence[Picture]) -> list[Answer]:
        """What it says of each, in one run of the network."""
        if not pictures:
            return []
        prepared = [_prepared(each) for each in pictures]
        probabilities, embeddings = self._network.run(np.stack(prepared))
        rows = zip(prepared, probabilities, embeddings, strict=True)
        return [self._answer(*row) for row in rows]

    def _answer(self, image: images.Grey, probabilities: engine.Floats, embedding: engine.Floats) -> Answer:
        network = self._network
        label = network.classes[int(probabilities.argmax())]
        made = Prediction(
            "", 0.0, network.model, network.version, "direct", "", image, label, probabilities, embedding, 0.0, ""
        )
        said = predictions.in_full(made, network.classes, network.answering)
        del said["request_id"]
        return Answer(**said)


def predict(picture: Picture, home: Path | str = "var", model: str = "digits") -> Answer:
    """What the version says that the endpoint of a home answers with when none is named; it need not run.

    Raises NotReadyError where nothing is registered yet.
    """
    place = Home(Path(home))
    known = state.load(state.path(place)).models.get(model)
    if known is None:
        raise NotReadyError(f"{home} serves no model {model}.", "Fit one: demlopment data ingest, then demlopment train.")
    path = place.models / known.versions[known.default].file
    return _loaded(path, path.stat().st_mtime_ns if path.exists() else 0).predict(picture)


@lru_cache(KEPT)
def _loaded(path: Path, _written: int) -> Model:
    return Model(path)


def _prepared(picture: Picture) -> images.Grey:
    try:
        return images.prepare(_bytes_of(Path(picture)) if isinstance(picture, Path | str) else picture)
    except images.ImageError as error:  # two sentences already
        raise DataError(str(error), "") from error


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.", "Give the path of a picture.") from error
