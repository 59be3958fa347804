"""What the report says that the story does not say outright: when the alarm came, which digits are confused, how
honest the confidence is. Pure arithmetic on the story; knows nothing of HTML."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from demlopment.intervals import wilson
from demlopment.lifecycle.story import Fit, Story
from demlopment.records import DriftReport, Interval, Scores, Verdict


@dataclass(frozen=True)
class Alarms:
    """What the drift monitor did around the true change, which it was not told."""

    first: DriftReport | None  # the first alarm in a window that holds requests from after the change
    delay: int  # requests from the change to the end of that window; 0 without an alarm
    false: int  # alarms in windows that ended before the change
    quiet: int  # windows that ended before the change
    late: int  # the other windows


@dataclass(frozen=True)
class Bin:
    """Answers of similar confidence."""

    low: float  # confidence, 0 to 1
    high: float
    examples: int
    correct: int
    confidence: float  # their mean

    @property
    def accuracy(self) -> float:
        return self.correct / self.examples

    @property
    def interval(self) -> Interval:
        return wilson(self.correct, self.examples)


@dataclass(frozen=True)
class Window:
    """One stretch of requests with what came back about it."""

    start: int  # index of its first request
    end: int  # index after its last
    labelled: int
    correct: int

    @property
    def interval(self) -> Interval | None:
        """None while no label has come back."""
        return wilson(self.correct, self.labelled) if self.labelled else None


def change(story: Story) -> int | None:
    """The first request after the change, or None if no request of this turn came after one."""
    return story.change_at if 0 <= story.change_at < story.requests else None


def alarms(windows: Sequence[DriftReport], change_at: int | None) -> Alarms:
    """Alarms before and after `change_at`; a window that straddles it counts as after. None: nothing ever changed."""
    quiet = [window for window in windows if change_at is None or window.start + window.examples <= change_at]
    late = windows[len(quiet) :]
    first = next((window for window in late if window.drifted), None)
    delay = first.start + first.examples - change_at if first is not None and change_at is not None else 0
    return Alarms(first, delay, sum(window.drifted for window in quiet), len(quiet), len(late))


def serving_fit(story: Story) -> Fit | None:
    """How the model that serves now was fitted; None if that happened in an earlier turn."""
    return next((fit for fit in reversed(story.fits) if fit.title == story.champion), None)


def shown_fit(story: Story) -> Fit | None:
    """The network whose answers are looked at closely: the one that serves, or the last that was fitted."""
    return serving_fit(story) or (story.fits[-1] if story.fits else None)


def serving_arms(story: Story) -> list[str]:
    """Who answered while the experiment ran, e.g. ["digits 1.0", "digits 2.0"]."""
    model = story.champion.rpartition(" ")[0]
    arms = (story.reading.control, story.reading.treatment)
    return list(dict.fromkeys(f"{model} {arm.version}".strip() for arm in arms if arm.requests))


def successor(story: Story) -> str:
    """Who took over from those who answered the requests; "" if one of them serves on."""
    return "" if story.champion in serving_arms(story) else story.champion


def deciding(story: Story) -> Verdict | None:
    """The verdict that put, or left, the champion in its place; None if nobody judged it in this turn."""
    promoted = [v for v in story.verdicts if v.decision == "promote" and v.subject == story.champion]
    defended = [v for v in story.verdicts if v.against == story.champion and v.decision in ("refuse", "keep")]
    return next(reversed(promoted or defended), None)


def decisions(story: Story) -> list[tuple[str, int]]:
    """How often each decision was taken, in the order in which they first appeared."""
    return list(Counter(verdict.decision for verdict in story.verdicts).items())


def confusion(scores: Scores, classes: int) -> npt.NDArray[np.int64]:
    """(classes, classes): how often the class of the row was read as the class of the column."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (scores.labels, scores.predicted), 1)
    return counts


def worst_confusion(counts: npt.NDArray[np.int64], classes: Sequence[str]) -> tuple[str, str, int] | None:
    """The most frequent mistake as (true, read as, times); None if there was none."""
    mistakes = counts - np.diag(np.diag(counts))
    true, said = divmod(int(mistakes.argmax()), len(classes))
    times = int(mistakes[true, said])
    return (classes[true], classes[said], times) if times else None


def calibration_bins(scores: Scores, bins: int = 10) -> tuple[Bin, ...]:
    """The answers by the confidence of the top label, in `bins` equal steps from 0 to 1; empty ones are left out."""
    confidence = np.nan_to_num(scores.probabilities.max(axis=1).astype(np.float64))  # a diverged network says NaN
    place = np.clip((confidence * bins).astype(np.int64), 0, bins - 1)
    return tuple(
        Bin(
            low=i / bins,
            high=(i + 1) / bins,
            examples=int(np.sum(place == i)),
            correct=int(np.sum(scores.correct[place == i])),
            confidence=float(confidence[place == i].mean()),
        )
        for i in np.unique(place).tolist()
    )


def answered(story: Story) -> tuple[Window, ...]:
    """The story's accuracy per window, each with its end, so that it can stand on the same axis as the drift."""
    ends = {window.start: window.start + window.examples for window in story.windows}
    starts = sorted(start for start, _, _ in story.window_accuracy)
    following = dict(zip(starts, [*starts[1:], max(story.requests, *starts)], strict=True)) if starts else {}
    return tuple(
        Window(start, ends.get(start, following[start]), labelled, correct)
        for start, labelled, correct in sorted(story.window_accuracy)
    )
