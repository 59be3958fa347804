"""What is expected of all rows together before they are learnt from. Judges no single row, and decides nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from demlopment.data.shift import groups, shift
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


@dataclass(frozen=True, eq=False)
class Reference:
    """A snapshot that others are compared with: what its rows are called, and what they show."""

    name: str
    labels: Mapping[str, str]  # key -> class


def compared(
    examples: Examples,
    reference: Reference,
    classes: Sequence[str],
    statistics: Callable[[npt.NDArray[np.uint8]], Mapping[str, npt.NDArray[np.float64]]],
    rules: Data,
) -> tuple[Expectation, ...]:
    """Classes that came or went since the reference, and whether the new rows look like those that it has.

    Lakes grow, so what is compared is the rows that the reference has not with those that it has and `examples` still
    have: by the shares of the classes and by `statistics` of the pictures, (n, 28, 28) -> (n,) each. Rows that came by
    chance from where the others came from raise an alarm once in 1 / `drift_alarm_rate` times; rows of one writer, and
    near-duplicates of which nobody knows the writer, come or stay together. Without new rows there is nothing to compare.
    """
    now, then = {classes[label] for label in examples.labels.tolist()}, set(reference.labels.values())
    changed = sorted(now ^ then)
    seen = f"the number of classes that came or went since {reference.name}" + (f" ({', '.join(changed)})" if changed else "")
    came = np.array([key not in reference.labels for key in examples.keys.tolist()], np.bool_)
    figures = {f"class {name}": (examples.labels == place).astype(np.float64) for place, name in enumerate(classes)}
    rate, rng = rules.drift_alarm_rate, np.random.default_rng(0)  # whoever looks again sees the same
    found = None
    if came.any() and not came.all():
        found = shift({**figures, **statistics(examples.images)}, came, groups(examples), rate, rng)
    if found is None:
        return (Expectation(seen, len(changed), 0, 0),)
    name = f"the chance that {found.new} new rows differ so much from {found.old} of {reference.name} (most in {found.most})"
    return Expectation(seen, len(changed), 0, 0), Expectation(name, found.p_value, rate, 1)
