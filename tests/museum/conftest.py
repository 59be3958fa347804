"""The real pipeline on the packaged digits, in which an exhibit switches on one defect at a time."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest

from demlopment import training
from demlopment.data import Lake, packaged_digits
from demlopment.evaluation import cost
from demlopment.home import Home
from demlopment.lifecycle import provenance
from demlopment.lifecycle.collect import Collected, everything
from demlopment.lifecycle.workshop import Candidate, Workshop
from demlopment.records import Examples, Verdict
from demlopment.settings import Settings, Training
from demlopment.training import Fitted
from tests.digits import one_thread

__all__ = ["one_thread"]

SETTINGS = Settings.model_construct(training=Training(epochs=4))  # the bounds are those that everybody has
Defect = Callable[[pytest.MonkeyPatch], None]


@dataclass(eq=False)
class Museum:
    """One home with the digits in its lake. Equal fits are made once: a fit is a function of what it is given."""

    home: Home
    workshop: Workshop
    fits: dict[str, Fitted] = field(default_factory=dict)

    def fit(self, train: Examples, validation: Examples, classes: int, recipe: Training, **_: Any) -> Fitted:
        parts = [array.tobytes() for part in (train, validation) for array in (part.images, part.labels)]
        name = hashlib.sha256(b"".join([*parts, f"{classes} {recipe}".encode()])).hexdigest()
        if name not in self.fits:
            self.fits[name] = FIT(train, validation, classes, recipe)
        return self.fits[name]

    def collected(self) -> Collected:
        """What there is to learn from, as a turn collects it."""
        return everything(Lake.of(self.home, SETTINGS.data), SETTINGS.data, "museum")

    def candidate(self, taught: Callable[[Collected], Examples] = lambda collected: collected.split.train) -> Candidate:
        collected = self.collected()
        return self.workshop.develop("An exhibit", taught(collected), collected, lambda *_: None)

    def judged(self, taught: Callable[[Collected], Examples] = lambda collected: collected.split.train) -> Verdict:
        return self.workshop.judge(self.candidate(taught), None)


FIT = training.fit


@pytest.fixture(scope="module")
def museum(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Museum]:
    home, clock = Home(tmp_path_factory.mktemp("museum") / "var"), count(1_795_000_000)
    home.open()
    Lake(home.lake).add(packaged_digits())
    with pytest.MonkeyPatch.context() as patch:
        made = Museum(home, Workshop(home, SETTINGS, lambda: float(next(clock))))
        patch.setattr(training, "fit", made.fit)
        patch.setattr(cost, "RUNS", 30)  # times that a time is taken: the bound is far from both, the fair and the slow one
        patch.setattr(provenance, "edited", lambda: False)  # whatever the checkout that runs these tests looks like
        yield made


@pytest.fixture(scope="module")
def honest(museum: Museum) -> tuple[Candidate, Verdict]:
    """The control: the same pipeline without a defect."""
    candidate = museum.candidate()
    return candidate, museum.workshop.judge(candidate, None)
