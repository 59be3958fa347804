"""How the tests of this home are judged: the settings, and from the models' cards which answers need no human."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from demlopment.archive import Card
from demlopment.errors import DataError
from demlopment.home import Home
from demlopment.lifecycle.store import archives
from demlopment.monitoring import Terms
from demlopment.monitoring.metrics import (
    ABSTENTION,
    ACCURACY,
    CONFIDENCE,
    LOG_LOSS,
    Metric,
    Recorded,
    cost,
    latency,
    milliseconds,
)
from demlopment.records import Prediction
from demlopment.settings import Settings


@dataclass(frozen=True, eq=False)
class Judging:
    """The terms, with what they take from an answer; alone, accuracy and nothing beside it."""

    terms: Terms = field(default_factory=Terms)
    cards: Mapping[str, Card] = field(default_factory=dict)  # by version

    def recorded(self, prediction: Prediction, label: str | None) -> Recorded:
        """What can be compared of an answer, whose label is None while none came back.

        Without probabilities, or a card of its model, nothing says that it needed a human.
        """
        card, said = self.cards.get(prediction.version), prediction.probabilities
        if not len(said):
            return Recorded(milliseconds=prediction.latency_ms)
        classes = card.classes if card is not None and len(card.classes) == len(said) else ()
        return Recorded(
            accepted=card is None or card.answer.accepts(prediction),
            confidence=float(said.max()),
            likelihood=_likelihood(classes, said, label),
            milliseconds=prediction.latency_ms,
        )


def judging(home: Home, settings: Settings, model: str, metric: str = "accuracy", minimum: float | None = None) -> Judging:
    """By one metric, with limits for all others; `minimum` is the minimum effect, where it is not the settings'.

    Raises DataError for a metric that there is not, or an effect that cannot be.
    """
    rules = settings.monitoring
    slow = rules.slow_milliseconds
    limits = {ABSTENTION: rules.most_abstention, latency(slow): rules.most_slow, **_money(settings)}
    known = {each.name: each for each in (ACCURACY, *limits, CONFIDENCE, LOG_LOSS, milliseconds(slow))}
    if metric not in known:
        raise DataError(f"There is no metric {metric!r} to judge by.", f"Choose one of {', '.join(known)}.")
    primary = known[metric]
    others = tuple((each, limit) for each, limit in limits.items() if each is not primary)
    return Judging(
        Terms(primary, rules.minimum_effect if minimum is None else minimum, others),
        {card.version: card for _, card in archives(home) if card.name == model},
    )


def _likelihood(classes: Sequence[str], said: npt.NDArray[np.float32], label: str | None) -> float | None:
    """The probability of the label: of one that is no class, none at all."""
    if label is None or not classes:
        return None
    return float(said[classes.index(label)]) if label in classes else 0.0


def _money(settings: Settings) -> dict[Metric, float]:
    """What errors cost beyond their number, where they have a price."""
    prices = settings.evaluation
    if not max(prices.price_of_error, prices.price_of_review):
        return {}
    return {cost(prices.price_of_error, prices.price_of_review): settings.monitoring.most_dearer}
