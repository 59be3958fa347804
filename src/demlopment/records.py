"""What crosses a border between rooms: frozen records with their units. Knows how nothing is made or stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from demlopment.seen import Seen

Part = Literal["train", "validation", "test", "stream"]
# direct: no plan chose it, so it is in no experiment; shadow: no client was told
Arm = Literal["control", "treatment", "direct", "shadow"]
# stop: no effect of interest; the last three answer a wish to retrain
Decision = Literal["promote", "refuse", "keep", "continue", "stop", "retrain", "hold", "wait", "ask for labels", "roll back"]
# ramping, paused and complete have their share; halted by a restart, rolled back and aborted have none
CanaryState = Literal["ramping", "paused", "complete", "halted", "rolled back", "aborted"]
TrialState = Literal["running", "complete", "pruned", "failed"]


@dataclass(frozen=True)
class Interval:
    """A range that holds the true value with the stated confidence (0 to 1)."""

    low: float
    high: float
    confidence: float = 0.95


@dataclass(frozen=True, eq=False)
class Examples:
    """Prepared characters with what is known of them; row i of each array belongs together."""

    keys: npt.NDArray[np.str_]  # (n,) SHA-256 of the prepared pixels, hexadecimal
    images: Seen  # (n, 28, 28) as images.prepare makes them, or rows (n, columns) as row.prepare does
    labels: npt.NDArray[np.int64]  # (n,) index into the classes
    sources: npt.NDArray[np.str_]  # (n,) where each row came from, e.g. "mnist-5k" or "feedback"
    writers: npt.NDArray[np.str_]  # (n,) whose hand it is; "" where nobody knows

    def __len__(self) -> int:
        return len(self.labels)

    def where(self, chosen: npt.NDArray[Any]) -> "Examples":
        """The rows that a boolean mask or an index array names, in its order."""
        arrays = (self.keys, self.images, self.labels, self.sources, self.writers)
        return Examples(*(array[chosen] for array in arrays))


@dataclass(frozen=True, eq=False)
class Split:
    """One snapshot in four parts that share no row. Only simulated production may touch `stream`."""

    train: Examples
    validation: Examples
    test: Examples
    stream: Examples


@dataclass(frozen=True)
class Snapshot:
    """The table `examples` at one version, pinned by name; the digest does not depend on the order of rows or files."""

    name: str
    version: int  # of the Delta table
    digest: str  # SHA-256 over the sorted keys and labels, hexadecimal
    rows: int
    salt: str  # of the split
    commit: str = "unknown"  # of the code that pinned it
    preparation: int = 1  # version of images.prepare, or of row.prepare


@dataclass(frozen=True)
class BadRow:
    """One row that is in quarantine, as it may be shown to people."""

    label: str | None  # as it came
    source: str
    picture: bytes | None  # a PNG of our own making, 28 x 28; None where the row has no picture that can be read
    size: int | None  # bytes of the picture as it came; None where there is none
    head: bytes = b""  # the first of them


@dataclass(frozen=True)
class Exhibit:
    """One reason why rows are in quarantine, with a few of them."""

    reason: str
    rows: int  # that have it; a row with two reasons counts under both
    shown: tuple[BadRow, ...]


@dataclass(frozen=True)
class Epoch:
    """One pass over the training rows, measured on the validation part with the averaged weights."""

    train_loss: float  # nats
    validation_loss: float  # nats
    validation_accuracy: float  # 0 to 1


@dataclass(frozen=True, eq=False)
class Scores:
    """How one model did on labelled rows; two models are compared only row by row, on equal `keys`."""

    model: str  # "digits 2.0"
    keys: npt.NDArray[np.str_]  # (n,)
    labels: npt.NDArray[np.int64]  # (n,)
    probabilities: npt.NDArray[np.float32]  # (n, classes), calibrated; a row sums to 1
    log_loss: float  # nats
    calibration_error: float  # expected calibration error, 0 to 1

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        return np.asarray(self.probabilities.argmax(axis=1), np.int64)

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        return np.equal(self.predicted, self.labels)

    @property
    def accuracy(self) -> float:
        return float(self.correct.mean())


@dataclass(frozen=True)
class Check:
    """One thing that a model was tested for, with the bound that the gate holds it to."""

    group: Literal["held-out", "behaviour", "robustness", "calibration", "slices", "cost", "training", "serving"]
    name: str  # "shift by one pixel"
    value: float
    interval: Interval | None  # None where nothing was drawn by chance, as for a size
    bound: float | None  # None: it is told, and not judged
    least: bool  # whether the value must be at least the bound, else at most
    rows: int  # that it was measured on
    unit: str = ""  # "ms"; "" for a share (0 to 1) or a number without a unit
    note: str = ""  # what a person should know, e.g. the worst of many

    @property
    def met(self) -> bool:
        """Whether the whole interval keeps the bound: what too few rows leave open is not met.

        NaN never is, not even where a check is only told, unless it was measured on no row.
        """
        ends = (self.value,) if self.interval is None else (self.value, self.interval.low, self.interval.high)
        if self.bound is None:
            return self.rows == 0 or not any(map(isnan, ends))
        return self.rows > 0 and all(end >= self.bound if self.least else end <= self.bound for end in ends)


@dataclass(frozen=True)
class Treatment:
    """A version that a share of the units meets."""

    version: str
    share: float  # 0 to 1


@dataclass(frozen=True)
class Guardrails:
    """The most that a canary may do, each a mean over its requests; what is None is not watched."""

    errors: float | None = 0.02  # share that end in an error of the server, or in no number
    slow: float | None = 0.1  # share that take three times as long as one of the control's, and `slow_ms` more
    slow_ms: float = 5.0
    classes: float | None = 0.1  # how far the share of any class is from the control's
    abstained: float | None = 0.1  # how far the share of answers that need a human is from the control's
    disagreement: float | None = 0.1  # share of its pictures that the control reads otherwise
    overconfidence: float | None = 0.1  # mean confidence less the share that is right, where labels come back
    memory_mb: float | None = 500.0  # that a process which answers for it takes more than when it began
    alpha: float = 0.01  # the chance, at most, to roll back one that keeps all of these


@dataclass(frozen=True)
class Canary:
    """A treatment whose share grows by itself, as long as it keeps its guardrails."""

    steps: tuple[float, ...]  # its shares, rising
    dwell: float  # s that each step lasts, at least
    requests: int  # that it has answered in each step, at least
    guardrails: Guardrails
    state: CanaryState = "ramping"
    step: int = 0  # where it stands, from 0
    reason: str = ""  # why it does not ramp


@dataclass(frozen=True)
class TrafficPlan:
    """Who answers for a model, by version: each treatment its share of the units, the control the rest."""

    model: str
    control: str  # version
    treatments: tuple[Treatment, ...]
    salt: str
    unit: str = "header:x-unit-id"  # what of a request stays with its arm; without it each request is its own unit
    starts: float | None = None  # seconds since 1970; before it, and from `ends` on, the control answers everybody
    ends: float | None = None
    a_a: bool = False  # whether the arms may be the same network
    shadows: tuple[str, ...] = ()  # versions that are asked as well, once the client has its answer
    canary: Canary | None = None  # the only treatment's
    bandit: bool = False  # whether the labels move its shares: then they earn right answers, and no verdict
    number: int = 0  # of this plan among those that its model has had, from 1; 0 before it is in force
    since: float = 0.0  # seconds since 1970, when it was put in force or a canary's share last changed

    @property
    def versions(self) -> tuple[str, ...]:
        """Of all arms."""
        return (self.control, *(each.version for each in self.treatments), *self.shadows)

    def runs(self, at: float) -> bool:
        """Whether it is the plan's time (seconds since 1970); outside of it the control answers, in no experiment."""
        return (self.starts is None or at >= self.starts) and (self.ends is None or at < self.ends)


class Prediction(NamedTuple):
    """One acknowledged answer, as the journal keeps it; a tuple, because every request makes one."""

    request_id: str
    at: float  # seconds since 1970
    model: str
    version: str
    arm: Arm
    unit: str
    image: Seen | None  # as the network saw it: a picture (28, 28) or a row (columns,); None where only its digest was kept
    label: str
    probabilities: npt.NDArray[np.float32]  # (classes,); empty for answers of Python handlers
    embedding: npt.NDArray[np.float32]  # (width,) the network's penultimate layer; empty likewise
    latency_ms: float
    digest: str  # SHA-256 of what the network saw, hexadecimal; of the raw body where a Python handler answered


@dataclass(frozen=True)
class Feedback:
    """The truth about one prediction, which may come late, twice, or before the journal has been read."""

    request_id: str
    at: float  # seconds since 1970
    label: str


@dataclass(frozen=True)
class Gap:
    """A time in which answers left without a record, because the disk took none."""

    start: float  # seconds since 1970, of the first such answer
    end: float  # of the last
    count: int


@dataclass(frozen=True)
class DriftTest:
    """One comparison of a window with the reference."""

    name: str
    statistic: float
    p_value: float


@dataclass(frozen=True)
class DriftReport:
    """What monitoring tells lifecycle about one window of traffic."""

    start: int  # index of the window's first prediction in the journal's order
    examples: int
    tests: tuple[DriftTest, ...]  # none where nothing of the window can be compared
    threshold: float  # a p-value below it is an alarm; derived from the false-alarm rate and the number of tests
    false_alarm_rate: float  # chance that a window raises an alarm when nothing has changed
    unseen: int = 0  # of the examples, those whose image was not kept: they count for what was answered only
    damaged: int = 0  # of the examples, those whose answer holds NaN or infinity

    @property
    def drifted(self) -> bool:
        return any(test.p_value < self.threshold for test in self.tests)


@dataclass(frozen=True)
class ArmReading:
    """One arm of an experiment."""

    version: str
    requests: int
    labelled: int
    correct: int


@dataclass(frozen=True)
class SideEffect:
    """What a version does to another metric than the one it is judged by."""

    metric: str
    effect: float  # above 0 is better: shares for abstention and latency, money per request for cost
    interval: Interval  # always valid
    limit: float  # by how much it may be worse, in the same unit
    counted: int  # answers
    sentence: str  # the plain conclusion

    @property
    def breached(self) -> bool:
        """Whether it is worse by more than its limit, for certain."""
        return self.interval.high < -self.limit


@dataclass(frozen=True)
class Novelty:
    """The effect in earlier and in later labels, always valid together."""

    early: int  # labels: the largest power of two that is at most half of them
    before: Interval
    late: int
    after: Interval
    sentence: str  # the plain conclusion

    @property
    def changed(self) -> bool:
        return self.before.high < self.after.low or self.after.high < self.before.low


@dataclass(frozen=True)
class Returns:
    """How labels come back to both arms of an experiment."""

    control_share: float  # of the units, that have a label
    treatment_share: float
    ratio_p: float  # always valid; small when labels do not come back alike, which voids the reading
    control_delay: float | None  # seconds from request to label, in the middle; None without labels
    treatment_delay: float | None
    usual_delay: float | None  # seconds, in which nine of ten labels came that did come
    waiting: int  # requests without a label that are no older than that, so that it may still come
    missing: int  # without a label and older
    sentence: str  # in plain words


@dataclass(frozen=True)
class Reading:
    """An experiment as it stands: the effect is the treatment's accuracy, or another metric, minus the control's."""

    control: ArmReading
    treatment: ArmReading
    effect: float
    interval: Interval  # always valid: may be looked at after every label
    sequence: tuple[tuple[int, float, float], ...]  # (labels seen, low, high) over time
    sample_ratio_p: float  # small when the split is not the planned one, which voids the reading
    decision: Decision
    sentence: str  # the plain conclusion
    metric: str = "accuracy"
    minimum_effect: float = 0.0  # less than that is of no interest; in the unit of the effect
    sides: tuple[SideEffect, ...] = ()
    novelty: Novelty | None = None  # None before 64 labels
    returns: Returns | None = None


@dataclass(frozen=True)
class Verdict:
    """A decision of the loop with its evidence; a "no" is a record like a "yes"."""

    # data: a snapshot; retraining: whether to, and what came of it; hand: a person decided
    kind: Literal["data", "gate", "serving", "experiment", "drift", "retraining", "hand"]
    decision: Decision
    subject: str  # what was judged, e.g. "digits 2.0"
    against: str  # what it was compared with; "" for nothing
    reason: str  # one plain sentence
    evidence: Mapping[str, Any]  # JSON


@dataclass(frozen=True)
class Trial:
    """One recipe that a search tried, and what came of it."""

    number: int  # from 0, in the order in which the recipes were drawn
    parameters: Mapping[str, Any]  # what the recipe differs in, by name
    state: TrialState
    value: float | None = None  # nats on the validation part, calibrated; None unless it is complete
    errors: tuple[float, ...] = ()  # share of the validation part that was read wrongly, an entry an epoch
    run: str = ""  # the tracker's identifier
    reason: str = ""  # why it failed
