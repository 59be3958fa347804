"""Shall the champion be fitted anew? Pure: a condition, what was decided before, rules and prices in, a verdict out.

Something has to ask for it, it must be worth its price, and there must be something new to learn from; else the answer is to
wait, to ask for labels, or to go back to the predecessor.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from demlopment.lifecycle.compact import DAY_SECONDS
from demlopment.lifecycle.condition import Condition
from demlopment.lifecycle.evidence import CLOCKS
from demlopment.lifecycle.past import Past
from demlopment.lifecycle.worth import Loss, Prices, loss, value_of_labels
from demlopment.records import Decision, Verdict
from demlopment.settings import Retraining

Cause = Literal["age", "new labels", "drift", "estimated accuracy", "realised accuracy"]
ROUTINE: frozenset[Cause] = frozenset({"age", "new labels"})  # what asks for a retrain although nothing seems wrong


@dataclass(frozen=True)
class Case:
    """What there is to decide by."""

    condition: Condition
    before: Past
    rules: Retraining
    prices: Prices
    causes: tuple[Cause, ...]  # what asks for a retrain
    lost: Loss | None  # of accuracy, None where nobody can say
    stake: float  # what it would cost if every answer were wrong


def decide(condition: Condition, before: Past, rules: Retraining, prices: Prices, *, by_hand: bool = False) -> Verdict:
    """What to do now, with the evidence; `by_hand` is a person's wish, which is granted whatever the rest says."""
    lost, stake = loss(condition), prices.stake(condition.requests_per_day)
    case = Case(condition, before, rules, prices, causes(condition, rules), lost, stake)
    decision, reason = _decided(case, by_hand=by_hand)
    if condition.failed:
        reason = f"{reason} Not heard, because they crashed: {', '.join(condition.failed)}."
    if condition.live > condition.at + CLOCKS:
        ahead = (condition.live - condition.at) / 3600
        reason = f"{reason} The clock stands {ahead:.1f} h before the champion became it, so what is asked now counts nowhere."
    against = condition.predecessor if decision == "roll back" else ""
    evidence = {
        "causes": list(case.causes),
        "by_hand": by_hand,
        "loss": None if lost is None else asdict(lost),
        "stake": stake,
        "worth": None if lost is None else lost.mean * stake,
        "price": prices.retrain,
        "worth_of_labels": None if lost is None else value_of_labels(lost, rules.asked_labels, stake, prices.retrain),
        "price_of_labels": rules.asked_labels * prices.label,
        "past": asdict(before),
        "condition": _told(condition, rules),
    }
    return Verdict("retraining", decision, condition.champion, against, reason, evidence)


def causes(condition: Condition, rules: Retraining) -> tuple[Cause, ...]:
    """What asks for a retrain now. A window is a look at new requests, so an alarm must stand in several of the last ones."""
    lost = loss(condition)
    worse = lost is not None and lost.mean >= rules.least_loss and lost.interval.low > 0
    found: dict[Cause, bool] = {
        "age": condition.at - condition.fitted >= rules.every_days * DAY_SECONDS,
        "new labels": condition.new_labels is not None and condition.new_labels >= rules.labels,
        "drift": sum(condition.alarms[-rules.windows :]) >= rules.alarms,
        "estimated accuracy": worse and lost is not None and lost.source == "confidence",
        "realised accuracy": worse and lost is not None and lost.source == "labels",
    }
    return tuple(cause for cause, stands in found.items() if stands)


def _decided(case: Case, *, by_hand: bool) -> tuple[Decision, str]:
    condition, champion = case.condition, case.condition.champion
    if by_hand:
        return "retrain", f"Somebody asked for {champion} to be fitted anew."
    worse = condition.regression
    if worse is not None and condition.predecessor and worse.interval.low > 0:
        return "roll back", (
            f"{condition.predecessor} reads {worse.labelled} labelled pictures better than {champion}, "
            f"by {_points(worse.interval.low, worse.interval.high)}."
        )
    if not case.causes:
        return "wait", f"Nothing asks for {champion} to be fitted anew."
    held = _held(case)
    return ("wait", held) if held else _weighed(case)


def _held(case: Case) -> str:
    """Why nothing is begun whatever it were worth, or nothing."""
    condition, before, rules = case.condition, case.before, case.rules
    asks, new = _asks(case.causes), condition.new_labels
    if new is None:
        return f"{asks}, but nobody can say how many labels are new."
    if before.failures >= rules.failures and new - before.labels < rules.labels:
        return (
            f"{asks}, but the last {before.failures} retrains gave no champion: none is begun until {rules.labels} labels "
            f"more than the {before.labels} of then are new, or somebody asks for it by hand."
        )
    if before.begun is not None and condition.at < before.begun:
        return f"{asks}, but the clock stands before the last retrain: it was set back, or it was ahead then."
    if before.begun is not None and condition.at - before.begun < rules.least_days * DAY_SECONDS:
        ago = (condition.at - before.begun) / DAY_SECONDS
        return f"{asks}, but the last retrain was begun {ago:.2g} days ago, and {rules.least_days:g} are the least."
    return ""


def _weighed(case: Case) -> tuple[Decision, str]:
    """What it would gain beside what it costs: of a routine the most that may be lost, of an alarm the mean."""
    condition, before, rules, prices, lost = case.condition, case.before, case.rules, case.prices, case.lost
    asks, new, bill = _asks(case.causes), condition.new_labels or 0, rules.asked_labels * prices.label
    routine = bool(ROUTINE.intersection(case.causes))
    wish = f"people should read {rules.asked_labels} pictures, for {_money(bill)}"
    open_to_ask = before.asked is None or not 0 <= condition.at - before.asked < rules.least_days * DAY_SECONDS
    if lost is None:
        if new >= rules.least_labels:
            return "retrain", f"{asks}, {new} labels are new, and nobody can say how good {condition.champion} is now."
        return _asked(f"{asks}, and nobody can say how good {condition.champion} is now", wish, open_to_ask=open_to_ask)
    gain, most = lost.mean * case.stake, max(lost.mean, lost.interval.high) * case.stake
    known = f"{_loss(lost)}, worth {_money(gain)} in {prices.days:g} days"
    worth = value_of_labels(lost, rules.asked_labels, case.stake, prices.retrain)
    if new < rules.least_labels:
        if max(gain, worth) > bill + prices.retrain:
            return _asked(f"{asks}, but only {new} labels are new; {known}", wish, open_to_ask=open_to_ask)
        return "wait", f"{asks}, but only {new} labels are new, and more are not worth their price; {known}."
    if worth > bill and open_to_ask and not routine:
        return "ask for labels", f"{asks}; {known}, which is too uncertain: {wish}, which knowing more is worth."
    if (most if routine else gain) > prices.retrain:
        return "retrain", f"{asks}; {known}, and a retrain costs {_money(prices.retrain)}."
    return "wait", f"{asks}; {known}, and a retrain costs {_money(prices.retrain)}, so it would not pay."


def _asked(why: str, wish: str, *, open_to_ask: bool) -> tuple[Decision, str]:
    return ("ask for labels", f"{why}: {wish}.") if open_to_ask else ("wait", f"{why}: labels were asked for already.")


def _asks(found: Sequence[Cause]) -> str:
    """
    >>> _asks(("age",)), _asks(("new labels",)), _asks(("drift", "realised accuracy"))
    ('Age asks for a retrain', 'New labels ask for a retrain', 'Drift and realised accuracy ask for a retrain')
    """
    verb = "asks" if len(found) == 1 and not found[0].endswith("s") else "ask"
    return f"{' and '.join(found).capitalize()} {verb} for a retrain"


def _loss(lost: Loss) -> str:
    how = "its labels say" if lost.source == "labels" else "its confidence says"
    return f"{how} that {_points(lost.interval.low, lost.interval.high)} of accuracy are lost"


def _points(low: float, high: float) -> str:
    return f"{100 * low:.1f} to {100 * high:.1f} points"


def _money(amount: float) -> str:
    return f"{amount:,.2f}"


def _told(condition: Condition, rules: Retraining) -> dict[str, Any]:
    """The condition as JSON; of its windows how many there were, and which of the last raised an alarm."""
    told = asdict(condition)
    alarms = told.pop("alarms")
    return told | {"windows": len(alarms), "alarms": sum(alarms), "last_windows": list(alarms[-rules.windows :])}
