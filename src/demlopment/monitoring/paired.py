"""Would a shadow have answered better than those who answered? Both saw the same pictures, so few labels say much.

Each labelled request counts 1 where the shadow alone was right, -1 where it alone was wrong, else 0; the mean is the
difference of the accuracies. Knows outcomes; changes no traffic and stores nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from demlopment import betting
from demlopment.records import Decision, Interval

VALUES = (0.0, 1.0, -1.0)  # of the requests on which both agree, which the shadow wins, and which it loses
LONGEST_SEQUENCE = 500  # points: more cannot be told apart in a picture


@dataclass(frozen=True)
class Pair:
    """A labelled request that a client and a shadow were answered."""

    told: bool  # whether what the client was told is right
    shadow: bool
    at: float  # seconds since 1970, when the label came
    unit: str = ""  # who asked; "" where each request is a unit of its own


@dataclass(frozen=True)
class PairedReading:
    """A shadow as it stands beside what clients were told: effect = its accuracy minus theirs, on the same requests."""

    version: str
    labelled: int  # pairs that count
    both: int  # that both read rightly
    won: int  # that the shadow alone did
    lost: int  # that the others alone did
    interval: Interval  # of the effect, always valid: may be looked at after every label
    sequence: tuple[tuple[int, float, float], ...]  # (labels seen, low, high) over time
    decision: Decision
    sentence: str  # the plain conclusion

    @property
    def effect(self) -> float:
        return (self.won - self.lost) / self.labelled if self.labelled else 0.0


def paired(version: str, pairs: Sequence[Pair], *, confidence: float = 0.95) -> PairedReading:
    """The shadow `version` beside what clients were told, in the order of labels.

    Interval   always valid, see betting.py. It assumes that the labelled requests of different units are independent, and
               that what the shadow was not asked about (a busy endpoint drops some) does not depend on the picture.
    Labels     the first one of each unit counts, as in an experiment.
    Decision   "promote" if the interval is wholly above 0, "keep" if wholly below, else "continue".
    """
    counted = _first(sorted(pairs, key=lambda pair: pair.at))
    won = np.array([pair.shadow and not pair.told for pair in counted], np.bool_)
    lost = np.array([pair.told and not pair.shadow for pair in counted], np.bool_)
    sequence = _sequence(won, lost, confidence)
    low, high = sequence[-1][1:] if sequence else (-1.0, 1.0)
    decision: Decision = "promote" if low > 0 else "keep" if high < 0 else "continue"
    both = sum(pair.told and pair.shadow for pair in counted)
    found = PairedReading(
        version, len(counted), both, int(won.sum()), int(lost.sum()), Interval(low, high, confidence), sequence, decision, ""
    )
    return _said(found)


def _first(ordered: Sequence[Pair]) -> list[Pair]:
    """The first pair of each unit: its later ones are no new draw."""
    heard: set[str] = set()
    kept = []
    for pair in ordered:
        if not pair.unit or pair.unit not in heard:
            kept.append(pair)
            heard.add(pair.unit)
    return kept


def _sequence(
    won: npt.NDArray[np.bool_], lost: npt.NDArray[np.bool_], confidence: float
) -> tuple[tuple[int, float, float], ...]:
    shown = np.unique(np.linspace(1, len(won), min(LONGEST_SEQUENCE, len(won))).round().astype(np.int64))
    wins, losses = (np.cumsum(each, dtype=np.int64)[shown - 1] for each in (won, lost))
    low, high = betting.bounds(np.stack([shown - wins - losses, wins, losses]), VALUES, confidence)
    return tuple(zip(shown.tolist(), low.tolist(), high.tolist(), strict=True))


def _said(found: PairedReading) -> PairedReading:
    conclusion = {"promote": "is better", "keep": "is worse"}.get(found.decision, "may be either")
    sentence = (
        f"The shadow {found.version} {conclusion}: alone right on {found.won} of {found.labelled} labelled requests and alone "
        f"wrong on {found.lost}, a difference between {100 * found.interval.low:+.1f} and "
        f"{100 * found.interval.high:+.1f} points ({found.interval.confidence:.0%} confidence, valid at every look)."
    )
    if not found.labelled:
        sentence = f"No conclusion yet: no request that the shadow {found.version} was asked about has a label."
    return replace(found, sentence=sentence)
