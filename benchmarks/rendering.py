"""Requests of every kind, rendered and read once by a network that was fitted to calm ones: what streams are drawn from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from benchmarks import idx
from demlopment import images, training
from demlopment.evaluation.wear import worn
from demlopment.legibility import Limits, legible, limits
from demlopment.lifecycle.production import Change, Kind, Setting, requests, script
from demlopment.monitoring import profile
from demlopment.monitoring.kernel import features, powers
from demlopment.monitoring.pictures import picture_statistics
from demlopment.monitoring.reference import answer_statistics
from demlopment.monitoring.strangers import centres, strangeness
from demlopment.records import Examples, Scores
from demlopment.settings import Training
from demlopment.training.network import outputs

TAUGHT, TOLD = 2500, 500  # digits that teach, and for the temperature; the others are what production writes
CALM, OTHER = 6000, 2000  # requests that are rendered without a change, and of each change
LESSONS = 5000  # calm requests that teach
EPOCHS = 12
PICTURED: tuple[Kind, ...] = (
    "pen",
    "scanner",
    "writers",
    "quality",
    "outliers",
)  # the other changes need no pictures of their own

NOTHING = Change()
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pools:
    """All rendered requests, (n,) each, and which of them are of a kind and a class."""

    pictures: images.Grey  # (n, 28, 28)
    probabilities: npt.NDArray[np.float32]  # (n, 10)
    embeddings: npt.NDArray[np.float32]  # (n, width)
    classes: Rows  # what was meant; -1 for what has no class
    statistics: Mapping[str, npt.NDArray[np.float64]]  # as the profile has them
    centres: npt.NDArray[np.float32]  # (10, width)
    limits: Limits
    strangeness: npt.NDArray[np.float64]  # (n,)
    features: npt.NDArray[np.float32]  # (n, 128) of the kernel test
    worn: Sequence[Scores]  # of other calm requests, in pictures a little worse
    directions: npt.NDArray[np.float64]
    rows: Mapping[str, Mapping[int, Rows]]  # of each kind, by class
    labels: Rows  # of the examples that production writes

    @property
    def told(self) -> Rows:
        return np.asarray(self.probabilities.argmax(axis=1), np.int64)

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        return np.equal(self.told, self.classes)

    @property
    def calm(self) -> Rows:
        return np.concatenate(list(self.rows["none"].values()))


def prepared(calm: int = CALM, other: int = OTHER, lessons: int = LESSONS, epochs: int = EPOCHS) -> Pools:
    """Fit to calm requests of some digits, and read all kinds of requests that others write."""
    digits = shuffled()
    taught, checked, written = (digits.where(part) for part in np.split(np.arange(len(digits)), [TAUGHT, TAUGHT + TOLD]))
    recipe = Training(epochs=epochs, seed=1)
    school, told = rendered(taught, lessons, 1), rendered(checked, TOLD, 2)
    fitted = training.fit(school, told, 10, recipe)
    parts = {"none": rendered(written, calm, 3)} | {
        kind: rendered(written, other, number, Change(kind)) for number, kind in enumerate(PICTURED, start=4)
    }
    pictures = np.concatenate([part.images for part in parts.values()])
    classes = np.concatenate([part.labels for part in parts.values()])

    def read(seen: images.Grey) -> npt.NDArray[np.float32]:
        logits = outputs(fitted.network, seen)[0].astype(np.float64)
        return np.asarray(softmax(logits / fitted.temperature, axis=1), np.float32)

    embeddings, probabilities = outputs(fitted.network, pictures)[1], read(pictures)
    directions = np.asarray(profile(pictures[:500], probabilities[:500], embeddings[:500])["directions"])
    statistics = picture_statistics(pictures) | answer_statistics(probabilities, embeddings, directions)
    of_kind = np.repeat(list(parts), [len(part) for part in parts.values()])
    rows = {
        kind: {int(meant): np.flatnonzero((of_kind == kind) & (classes == meant)) for meant in np.unique(part.labels)}
        for kind, part in parts.items()
    }
    middles, within = centres(outputs(fitted.network, school.images)[1], school.labels), limits(school.images)
    strange = strangeness(embeddings, middles, legible(pictures, within))
    answers = (pictures, probabilities, embeddings, classes, statistics)
    together = features(powers(probabilities))
    kinds = tuple(worn(read, told))
    return Pools(*answers, middles, within, strange, together, kinds, directions, rows, written.labels)


def rendered(written: Examples, number: int, seed: int, change: Change = NOTHING) -> Examples:
    """What the endpoint's network is given of so many requests, with what was meant."""
    plan = script(written.labels, Setting(requests=number, seed=seed, change=change))
    pictures = np.stack([images.prepare(each.picture) for each in requests(plan, written)])
    nothing = np.full(number, "")
    return Examples(np.arange(number).astype(np.str_), pictures, plan.classes, nothing, nothing)


def shuffled() -> Examples:
    """The packaged ones, in random order."""
    pictures, labels = idx.digits(None)
    order = np.random.default_rng(1).permutation(len(labels))
    prepared_ = np.stack([images.prepare(picture) for picture in pictures[order]])
    nothing = np.full(len(labels), "")
    return Examples(order.astype(np.str_), prepared_, labels[order].astype(np.int64), nothing, nothing)
