"""By which metric a test is judged, when it stops for want of effect, and that what breaks a limit is never promoted."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from benchmarks import verdicts
from demlopment import betting
from demlopment.errors import DataError
from demlopment.monitoring import Outcome, Pair, Terms, paired, read
from demlopment.monitoring.experiment import values
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
from demlopment.monitoring.terms import decide
from demlopment.records import Interval, SideEffect, TrafficPlan, Treatment

PLAN = TrafficPlan("digits", "1.0", (Treatment("2.0", 0.5),), "s")
MONEY, LATENCY = cost(error=2.0, review=0.1), latency(100.0)


def outcomes(
    labels: int,
    *,
    wrong: tuple[float, float] = (0.05, 0.05),
    unaccepted: tuple[float, float] = (0.0, 0.0),
    slow: tuple[float, float] = (0.0, 0.0),
    seed: int = 1,
) -> list[Outcome]:
    """Of both arms by halves; each pair is what the control and the treatment do."""
    rng = np.random.default_rng(seed)
    made = []
    for at in range(labels):
        treated = int(rng.random() < 0.5)
        right, accepted, late = rng.random(3) >= (wrong[treated], unaccepted[treated], slow[treated])
        arm, version = (("control", "1.0"), ("treatment", "2.0"))[treated]
        recorded = Recorded(accepted=bool(accepted), milliseconds=5.0 if late else 300.0)
        made.append(Outcome(arm, version, bool(right), float(at), f"u{at}", recorded=recorded))  # type: ignore[arg-type]
    return made


def test_arms_that_are_alike_end_the_test_for_want_of_an_effect_of_interest() -> None:
    rows = outcomes(3000)

    never, small, large = (read(PLAN, rows, terms=Terms(minimum_effect=effect)) for effect in (0.0, 0.01, 0.06))

    assert (never.decision, small.decision, large.decision) == ("continue", "continue", "stop")
    assert large.interval == never.interval
    assert large.sentence.startswith("No effect of interest (6 points): ")
    assert (large.metric, large.minimum_effect) == ("accuracy", 0.06)


@given(low=st.floats(-1, 1), high=st.floats(-1, 1), least=st.floats(0, 1))
def test_a_test_is_decided_by_where_its_interval_lies(low: float, high: float, least: float) -> None:
    low, high = sorted((low, high))

    decision = decide(Interval(low, high), Terms(minimum_effect=least), ())

    better, worse, little = low > 0, high < 0, -least < low and high < least
    assert decision == ("promote" if better else "keep" if worse else "stop" if little else "continue")


@given(low=st.floats(-1, 1), high=st.floats(-1, 1))
def test_what_breaks_a_limit_is_never_promoted(low: float, high: float) -> None:
    low, high = sorted((low, high))
    side = SideEffect("latency", -0.2, Interval(-0.3, -0.1), 0.05, 100, "")

    assert decide(Interval(low, high), Terms(), (side,)) == "keep"
    assert decide(Interval(low, high), Terms(), (replace(side, limit=0.1),)) == decide(Interval(low, high), Terms(), ())


def test_a_better_treatment_that_leaves_more_to_people_stays_out_and_the_sentence_says_why() -> None:
    rows = outcomes(2000, wrong=(0.15, 0.02), unaccepted=(0.01, 0.2))

    free = read(PLAN, rows)
    held = read(PLAN, rows, terms=Terms(limits=((ABSTENTION, 0.05), (LATENCY, 0.05))))

    assert (free.decision, held.decision) == ("promote", "keep")
    assert held.interval == free.interval
    assert held.sentence.startswith("The treatment must not be promoted, for its abstention is worse than is allowed: ")
    abstention, latency = held.sides
    assert (abstention.breached, latency.breached) == (True, False)
    assert abstention.interval.low < -0.19 < abstention.interval.high
    assert abstention.counted == latency.counted == 2000
    assert "worse than the 5 points allowed" in abstention.sentence
    assert "no worse than the 5 points allowed" in latency.sentence


def test_what_needs_no_label_counts_requests_without_one_too() -> None:
    rows = [replace(row, correct=None) for row in outcomes(1500, slow=(0.01, 0.2))]

    reading = read(PLAN, rows, terms=Terms(limits=((LATENCY, 0.02),)))

    assert (reading.decision, reading.sides[0].breached, reading.sides[0].counted) == ("keep", True, 1500)
    assert reading.sentence.startswith("The treatment must not be promoted, for its latency is worse")


def test_money_is_what_errors_and_reviews_cost() -> None:
    rows = outcomes(3000, wrong=(0.1, 0.1), unaccepted=(0.0, 0.3), seed=2)
    lost = {
        arm: [0.1 if not row.recorded.accepted else 2.0 * (not row.correct) for row in rows if row.arm == arm]
        for arm in ("control", "treatment")
    }

    reading = read(PLAN, rows, terms=Terms(MONEY))

    assert reading.effect == pytest.approx(np.mean(lost["control"]) - np.mean(lost["treatment"]))
    assert reading.interval.low < reading.effect < reading.interval.high
    assert "per thousand requests" in reading.sentence


@pytest.mark.parametrize("metric", [ACCURACY, MONEY])
def test_of_any_metric_the_values_of_an_experiment_have_the_effect_as_their_mean(metric: Metric) -> None:
    share, rng = 0.3, np.random.default_rng(0)
    chances = [rng.dirichlet(np.ones(len(metric.losses))) for _ in range(2)]

    expected = [
        0.0,
        *(1 - share) * chances[0][1:],
        *share * chances[1][1:],
    ] @ np.array(values(share, metric))

    assert expected == pytest.approx((chances[0] - chances[1]) @ np.array(metric.losses))


def test_the_interval_of_money_holds_the_truth_at_every_look() -> None:
    runs, labels, share = 200, 600, 0.5
    of, rng = values(share, MONEY), np.random.default_rng(6)
    chances = np.array([0.8, 0.1, 0.02, 0.05, 0.03])  # nothing; the control's review and error; the treatment's

    drawn = rng.choice(len(of), (runs, labels), p=chances)
    counts = np.stack([np.cumsum(drawn == place, axis=1, dtype=np.int64) for place in range(len(of))])
    missed = verdicts.ever(verdicts.outside(counts, of, float(chances @ np.array(of))))

    assert missed <= binom.isf(1e-6, runs, 0.05)
    assert betting.bounds(counts[:, :1, -1], of, 0.95)[0][0] > -1


def test_a_shadow_is_judged_on_the_same_terms() -> None:
    rng = np.random.default_rng(1)
    pairs = [
        Pair(
            bool(rng.random() > 0.1),
            shadow=True,
            at=float(at),
            unit=f"u{at}",
            shadow_recorded=Recorded(accepted=bool(rng.random() > 0.3)),
        )
        for at in range(600)
    ]
    unread = Recorded(accepted=False)
    unlabelled = [Pair(None, None, at=1000.0 + at, unit=f"v{at}", shadow_recorded=unread) for at in range(50)]

    free, held = (
        paired("2.0", pairs),
        paired("2.0", [*pairs, *unlabelled], terms=Terms(limits=((ABSTENTION, 0.1), (LATENCY, 0.1)))),
    )
    money = paired("2.0", pairs, terms=Terms(MONEY))
    alike = paired("2.0", [replace(pair, shadow=pair.told) for pair in pairs], terms=Terms(minimum_effect=0.02))

    assert (free.decision, held.decision) == ("promote", "keep")
    assert [side.metric for side in held.sides] == ["abstention"], "a shadow's time is not compared"
    assert (held.sides[0].counted, held.labelled) == (650, 600)
    assert "must not be promoted, for its abstention is worse" in held.sentence
    expected = [2.0 * (not pair.told) - (0.1 if not pair.shadow_recorded.accepted else 0.0) for pair in pairs]
    assert money.effect == pytest.approx(np.mean(expected))
    assert alike.decision == "stop"
    assert "makes no difference of interest (2 points)" in alike.sentence


def test_the_losses_of_an_answer() -> None:
    plain, unread, late = Recorded(), Recorded(accepted=False), Recorded(milliseconds=300.0)
    given = [(True, plain), (False, unread), (False, plain), (None, plain)]

    assert [MONEY.loss(right, of) for right, of in given] == [0, 0.05, 1, None]
    assert [ACCURACY.loss(right, of) for right, of in given] == [0, 1, 1, None]
    assert LATENCY.loss(None, late) == ABSTENTION.loss(None, unread) == 1
    assert CONFIDENCE.loss(None, Recorded(confidence=0.75)) == 0.25
    for right, of in given:
        assert CONFIDENCE.loss(right, of) is LOG_LOSS.loss(right, of) is LATENCY.loss(right, of) is None
        likelihoods = (float(np.exp(-0.5)), 0.0, 1e-9, 1.0000001)
        nats = [LOG_LOSS.loss(right, Recorded(likelihood=each)) for each in likelihoods]
        assert nats == ([None] * 4 if right is None else [pytest.approx(0.1), 1, 1, 0])
    assert LOG_LOSS.loss(None, Recorded(likelihood=0.5)) is None
    assert [milliseconds(20.0).loss(None, Recorded(milliseconds=taken)) for taken in (-1.0, 5.0, 300.0)] == [0, 0.25, 1]


@pytest.mark.parametrize("prices", [(0.0, 0.0), (-1.0, 2.0), (float("nan"), 1.0), (float("inf"), 1.0)])
def test_prices_that_are_none_are_refused(prices: tuple[float, float]) -> None:
    with pytest.raises(DataError):
        cost(*prices)


@pytest.mark.parametrize(
    "given_terms",
    [{"minimum_effect": -0.1}, {"minimum_effect": float("nan")}, {"limits": ((LATENCY, -1.0),)}, {"confidence": 1.0}],
)
def test_terms_that_cannot_be_are_refused(given_terms: dict[str, float]) -> None:
    with pytest.raises(DataError):
        Terms(**given_terms)  # type: ignore[arg-type]
