"""What a test will take, before it starts: labels and days. Composes the journal and the monitoring room."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from statistics import median

from demlopment.errors import DataError
from demlopment.lifecycle.compact import DAY_SECONDS
from demlopment.lifecycle.observe import Traffic
from demlopment.monitoring import Size, sizing

RECENT_DAYS = 14  # two of each day of the week: what is older says less of what will come
RECENT_SECONDS = RECENT_DAYS * DAY_SECONDS


@dataclass(frozen=True)
class Pace:
    """What the last days say of a model's accuracy and of how many labels a day a test may count on."""

    labelled: int  # requests of the version that is looked at
    correct: int  # of these
    units: int  # that have a label, whoever answered: a test counts the first one of each
    days: float  # from the first of the requests until now
    delay_days: float  # of a label after its request, in the middle
    compared: int  # requests that a shadow was asked as well
    differing: int  # of these, to which it answered otherwise


@dataclass(frozen=True)
class Wish:
    """What is asked of a test; None is what the journal says."""

    effect: float  # by how much a version is to be better, a difference of shares
    share: float = 0.5  # of the treatment
    confidence: float = 0.95
    power: float = 0.8
    shadow: bool = False  # whether the version is asked as a shadow, else it has an arm of its own
    accuracy: float | None = None
    differing: float | None = None  # share of the requests that a shadow answers otherwise
    labels_a_day: float | None = None


def pace(traffic: Traffic, version: str, now: float) -> Pace:
    """As the journal holds it, of the accuracy of one version."""
    asked = {each.request_id: each for each in traffic.predictions}
    known = [each for each in traffic.predictions if each.request_id in traffic.truth]
    ours = [each for each in known if each.version == version]
    delays = [said.at - asked[said.request_id].at for said in traffic.feedback if said.request_id in traffic.truth]
    pairs = [(each, asked[each.request_id]) for each in traffic.shadows if each.request_id in asked]
    return Pace(
        labelled=len(ours),
        correct=sum(each.label == traffic.truth[each.request_id] for each in ours),
        units=len({each.unit for each in known}),
        days=(now - traffic.predictions[0].at) / DAY_SECONDS if traffic.predictions else 0.0,
        delay_days=max(0.0, median(delays)) / DAY_SECONDS if delays else 0.0,
        compared=len(pairs),
        differing=sum(shadow.label != told.label for shadow, told in pairs),
    )


def outlook(wish: Wish, known: Pace) -> tuple[str, ...]:
    """What the test takes, a sentence first, then figures with where they come from.

    Raises DataError for what is no test, and where neither the wish nor the journal says how good the control is.
    """
    _refuse_no_share(wish)
    accuracy, source = _accuracy(wish, known)
    size, kind = _shadow(wish, known, accuracy) if wish.shadow else _arms(wish, accuracy)
    rate, pace_source = _rate(wish, known)
    named = f"a version that is {100 * wish.effect:g} points better"
    alike = "are not told so within 5 million labels"
    if size.alike is not None:
        alike = f"are known to be so, to within {100 * wish.effect:g} points, after {_long(size.alike, rate, known)}"
    return (
        f"To find {named} with a chance of {wish.power:.0%}, {kind[0]} needs {_long(size.better, rate, known)}.",
        f"Versions that are alike {alike}.",
        f"accuracy now           {accuracy:.2%} ({source})",
        *kind[1:],
        f"confidence             {wish.confidence:.4g}, at every look",
        f"labels a day           {pace_source}",
        f"looked at once only    {_round(size.fixed)}: looking at any time takes {size.better / size.fixed:.1f} times as many",
    )


def _refuse_no_share(wish: Wish) -> None:
    """What is no number would be told of whatever is reckoned from it."""
    given = {
        "effect": wish.effect,
        "share": wish.share,
        "accuracy of the control": wish.accuracy,
        "share of differing answers": wish.differing,
    }
    for name, value in given.items():
        if value is not None and not 0 <= value <= 1:
            raise DataError(f"The {name} is {value:g}.", "Give a share between 0 and 1, such as 0.05.")


def _arms(wish: Wish, accuracy: float) -> tuple[Size, Sequence[str]]:
    size = sizing.of_arms(accuracy, wish.effect, wish.share, confidence=wish.confidence, power=wish.power)
    return size, ("a test of two arms", f"share of the treatment {wish.share:.0%}")


def _shadow(wish: Wish, known: Pace, accuracy: float) -> tuple[Size, Sequence[str]]:
    differing, source = wish.differing, "given"
    if differing is None and known.compared:
        differing, source = known.differing / known.compared, f"of {known.compared} that shadows were asked as well"
    if differing is None:
        won, lost = sizing.independent(accuracy, wish.effect)
        source = "as if errors of both had nothing in common; real ones have, and it takes fewer"
    else:
        won, lost = (differing + wish.effect) / 2, (differing - wish.effect) / 2
    if lost < 0:
        raise DataError(
            f"A shadow that answers {won + lost:.2%} of the requests otherwise is not better by {100 * wish.effect:g} points.",
            f"Look for an effect of at most {won + lost:.4g}.",
        )
    size = sizing.of_pairs(won, lost, confidence=wish.confidence, power=wish.power)
    return size, ("a shadow", f"answers that differ    {won + lost:.2%} ({source})")


def _accuracy(wish: Wish, known: Pace) -> tuple[float, str]:
    if wish.accuracy is not None:
        return wish.accuracy, "given"
    if not known.labelled:
        raise DataError(
            f"No request of the last {RECENT_DAYS} days has a label that says how good the model is.",
            "Give the accuracy that you expect, such as --accuracy 0.97.",
        )
    return known.correct / known.labelled, f"of {known.labelled} labelled requests of the last {RECENT_DAYS} days"


def _rate(wish: Wish, known: Pace) -> tuple[float | None, str]:
    if wish.labels_a_day is not None:
        if not 0 < wish.labels_a_day < float("inf"):
            raise DataError(f"The labels a day are {wish.labels_a_day:g}.", "Give how many come back on a day, such as 500.")
        return wish.labels_a_day, f"{wish.labels_a_day:g} (given)"
    if not (known.units and known.days > 0):
        return None, "unknown: the journal has none, and --labels-per-day was not given"
    rate = known.units / known.days
    return rate, f"about {_round(rate)} (the journal: {known.units} units with a label in {known.days:.2g} days)"


def _long(labels: int, rate: float | None, known: Pace) -> str:
    """So many labels, and how long that is."""
    said = f"about {_round(labels)} labelled requests"
    return said if rate is None else f"{said}, {_round(labels / rate + known.delay_days)} days"


def _round(number: float) -> str:
    """Up to three digits that count.

    >>> _round(16_549), _round(3.141), _round(0.05)
    ('16,600', '3.2', '0.1')
    """
    if number < 100:
        return f"{ceil(number * 10) / 10:g}"
    step = 10 ** (floor(log10(number)) - 2)
    return f"{ceil(number / step) * step:,}"
