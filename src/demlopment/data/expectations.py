"""What is expected of all rows together before they are learnt from. Judges no single row, and decides nothing."""

from dataclasses import dataclass

import numpy as np

from demlopment.records import Examples
from demlopment.settings import Data


@dataclass(frozen=True)
class Expectation:
    """One figure of a dataset beside the range it is expected in."""

    name: str
    value: float
    least: float
    most: float

    @property
    def met(self) -> bool:
        return self.least <= self.value <= self.most

    def __str__(self) -> str:
        return f"{self.name} is {self.value:.3g}, expected {self.least:g} to {self.most:g}"


def expectations(examples: Examples, used: int, classes: int, rules: Data) -> tuple[Expectation, ...]:
    """Class balance, duplicates and ink of at least one row, of which `used` are in some part of the split.

    Balance    share of the rarest of the classes, 0 where one was never seen.
    Duplicates share of the rows that are left out as near-duplicates.
    Ink        mean brightness, 0 to 1; of the packaged digits and MNIST 0.13, of inverted ones 0.87.
    """
    rarest = np.bincount(examples.labels, minlength=classes).min() / len(examples)
    return (
        Expectation("the share of the rarest class", float(rarest), rules.least_class_share, 1.0),
        Expectation("the share of near-duplicates left out", 1 - used / len(examples), 0.0, rules.most_duplicates),
        Expectation("the mean ink", float(examples.images.mean()) / 255, rules.least_ink, rules.most_ink),
    )
