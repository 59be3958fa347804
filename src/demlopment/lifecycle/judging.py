"""How the tests of this home are judged: the settings, and from the models' cards which answers need no human."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from demlopment.archive import Answering
from demlopment.errors import DataError
from demlopment.home import Home
from demlopment.lifecycle.lineage import archives
from demlopment.monitoring import Terms
from demlopment.monitoring.metrics import ABSTENTION, ACCURACY, LATENCY, Metric, cost
from demlopment.records import Prediction
from demlopment.settings import Settings


@dataclass(frozen=True, eq=False)
class Judging:
    """The terms, with what they take from an answer; alone, accuracy and nothing beside it."""

    terms: Terms = field(default_factory=Terms)
    slow_ms: float = inf
    answering: Mapping[str, Answering] = field(default_factory=dict)  # by version

    def accepted(self, prediction: Prediction) -> bool:
        """Whether an answer needs no human: one without probabilities or whose model has no card says nothing of it."""
        card = self.answering.get(prediction.version)
        return card is None or not len(prediction.probabilities) or card.accepts(prediction)


def judging(home: Home, settings: Settings, model: str, metric: str = "accuracy", minimum: float | None = None) -> Judging:
    """By one metric, with limits for all others; `minimum` is the minimum effect, where it is not the settings'.

    Raises DataError for a metric that there is not, or an effect that cannot be.
    """
    rules = settings.monitoring
    limits = {ABSTENTION: rules.most_abstention, LATENCY: rules.most_slow, **_money(settings)}
    known = {each.name: each for each in (ACCURACY, *limits)}
    if metric not in known:
        raise DataError(f"There is no metric {metric!r} to judge by.", f"Choose one of {', '.join(known)}.")
    primary = known[metric]
    others = tuple((each, limit) for each, limit in limits.items() if each is not primary)
    return Judging(
        Terms(primary, rules.minimum_effect if minimum is None else minimum, others),
        rules.slow_milliseconds,
        {card.version: card.answer for _, card in archives(home) if card.name == model},
    )


def _money(settings: Settings) -> dict[Metric, float]:
    """What errors cost beyond their number, where they have a price."""
    prices = settings.evaluation
    if not max(prices.price_of_error, prices.price_of_review):
        return {}
    return {cost(prices.price_of_error, prices.price_of_review): settings.monitoring.most_dearer}
