"""How a turn is told while it runs: steps with a title, progress, and one line on what came of them. Shows nothing itself."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol


class Narrator(Protocol):
    """Where a turn is told: the terminal, or a test's list."""

    def begin(self, title: str) -> None:
        """A step starts."""

    def progress(self, done: int, total: int) -> None:
        """`done` of `total` units of the current step are finished."""

    def end(self, title: str, sentence: str, seconds: float) -> None:
        """The step is over, and this is what it did."""


class Step:
    """The step that a turn is in; whoever runs it reports progress and writes the sentence."""

    def __init__(self, narrator: Narrator) -> None:
        self.progress = narrator.progress
        self.sentence = ""


class Telling:
    """Tells steps to a narrator one after the other, and keeps what was told for the report."""

    def __init__(self, narrator: Narrator, clock: Callable[[], float]) -> None:
        self.narrator = narrator
        self.clock = clock
        self.told: list[tuple[str, str, float]] = []  # (step, what it did in one line, seconds)

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Run one step; a step that raises is not told as done."""
        self.narrator.begin(title)
        began = self.clock()
        step = Step(self.narrator)
        yield step
        seconds = self.clock() - began
        self.told.append((title, step.sentence, seconds))
        self.narrator.end(title, step.sentence, seconds)
