"""Worn pictures are of the same rows, light enough to be read, and the same each time; what cannot be read is left out."""

import numpy as np
import numpy.typing as npt

from demlopment.evaluation.robustness import CORRUPTIONS
from demlopment.evaluation.wear import READ, worn
from demlopment.images import Grey
from demlopment.records import Examples


class Nearest:
    """Answers as the example that is nearest."""

    def __init__(self, examples: Examples) -> None:
        self.known = examples

    def __call__(self, pictures: Grey) -> npt.NDArray[np.float32]:
        flat, known = (each.reshape(len(each), -1) / 255.0 for each in (pictures, self.known.images))
        apart = (known**2).sum(axis=1) - 2 * flat @ known.T
        return np.asarray(0.05 + 0.5 * np.eye(10)[self.known.labels[apart.argmin(axis=1)]], np.float32)


def test_light_kinds_are_told_and_those_that_nobody_reads_are_not(digits: Examples) -> None:
    some = digits.where(np.arange(150))

    first, again = (list(worn(Nearest(some), some)) for _ in range(2))

    names = [each.model for each in first]
    assert 5 <= len(first) < len(CORRUPTIONS)
    assert "stripe" not in names
    assert all(each.accuracy >= READ and len(each.labels) == 150 for each in first)
    assert any(each.accuracy < 1 for each in first)
    assert all((one.probabilities == other.probabilities).all() for one, other in zip(first, again, strict=True))
    assert all(sorted(each.keys) == sorted(some.keys) for each in first)


def test_no_examples_have_no_kinds(digits: Examples) -> None:
    nothing = digits.where(np.arange(0))

    assert list(worn(Nearest(digits), nothing)) == []
