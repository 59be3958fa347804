"""What a loss of accuracy costs and what labels are worth is what the laws of chance say, played many times."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment.intervals import wilson
from demlopment.lifecycle.condition import Condition, Gauge
from demlopment.lifecycle.worth import OFF, Loss, Prices, loss, value_of_labels
from demlopment.settings import Settings

EXAMINED = Gauge(735 / 750, wilson(735, 750), 750)
CALM = Condition(at=0.0, champion="digits 1.0", fitted=0.0, live=0.0, examined=EXAMINED, new_labels=0, requests_per_day=2000)


def gauge(right: int, answers: int) -> Gauge:
    return Gauge(right / answers, wilson(right, answers), answers)


def test_labels_are_believed_before_confidences_unless_they_are_few() -> None:
    estimate = gauge(980, 1000)

    many = loss(replace(CALM, estimated=estimate, realised=gauge(45, 50)))
    few = loss(replace(CALM, estimated=estimate, realised=gauge(9, 10)))
    alone = loss(replace(CALM, realised=gauge(9, 10)))

    assert many is not None
    assert few is not None
    assert alone is not None
    assert (many.source, few.source) == ("labels", "confidence")
    assert (many.mean, few.mean) == pytest.approx((0.08, 0.0))
    assert alone.source == "labels"
    assert few.doubt > OFF
    assert loss(CALM) is None


def test_the_spread_of_a_loss_is_that_of_both_shares() -> None:
    rng = np.random.default_rng(1)
    found = loss(replace(CALM, realised=gauge(180, 200)))
    drawn = rng.binomial(750, 0.98, 20_000) / 750 - rng.binomial(200, 0.9, 20_000) / 200

    assert found is not None
    assert found.spread == pytest.approx(drawn.std(), rel=0.1)
    assert found.interval.low < 0.08 < found.interval.high


def test_a_stake_is_what_it_would_cost_if_every_answer_were_wrong() -> None:
    prices = Prices.of(Settings.model_construct())

    assert (prices.error, prices.label, prices.retrain, prices.days) == (2.0, 0.05, 20.0, 7.0)
    assert prices.stake(100) == 1400


@pytest.mark.parametrize(("mean", "price"), [(0.01, 20.0), (0.03, 20.0), (0.0, 5.0)])
def test_what_labels_are_worth_is_what_deciding_after_them_gains(mean: float, price: float) -> None:
    rng, stake, labels = np.random.default_rng(2), 1400.0, 200
    lost = Loss(mean, 0.02, 0.02, 0.95, "confidence")
    truth = rng.normal(mean, lost.spread, 200_000)
    noise = np.sqrt(0.95 * 0.05 / labels)
    seen = truth + rng.normal(0, noise, len(truth))
    believed = mean + (seen - mean) * lost.spread**2 / (lost.spread**2 + noise**2)

    after = np.where(stake * believed > price, stake * truth - price, 0.0).mean()
    at_once = max(0.0, stake * mean - price)

    assert value_of_labels(lost, labels, stake, price) == pytest.approx(after - at_once, abs=0.15)


@given(
    mean=st.floats(-0.2, 0.5),
    doubt=st.floats(0, 0.3),
    stake=st.floats(0, 1e6),
    price=st.floats(0, 1e4),
    labels=st.integers(1, 10_000),
)
def test_more_labels_are_never_worth_less_and_never_more_than_certainty(
    mean: float, doubt: float, stake: float, price: float, labels: int
) -> None:
    lost = Loss(mean, doubt, doubt, 0.9, "labels")

    worth, more = (value_of_labels(lost, number, stake, price) for number in (labels, 2 * labels))

    assert 0 <= worth <= more + 1e-6 * stake
    assert more <= stake * doubt + 1e-9
