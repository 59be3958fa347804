"""Numbers as people read them. Knows nothing of where they come from."""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from demlopment.records import Interval

SPACE = "\u202f"  # narrow and unbreakable, before a per cent sign
UNBROKEN = "\u00a0"  # between a number and its unit
EVIDENCE_LIMIT = 8_000  # characters: the report shows evidence to read; the history keeps all of it


def count(number: int) -> str:
    return f"{number:,}"


def percent(share: float, digits: int = 1) -> str:
    """A share from 0 to 1 as per cent; what is not all, or not nothing, never reads as if it were.

    >>> percent(0.98666), percent(1.0), percent(0.99999), percent(0.00001)
    ('98.7\\u202f%', '100\\u202f%', '>99.9\\u202f%', '<0.1\\u202f%')
    """
    return f"{_hundredfold(share, digits)}{SPACE}%"


def interval(range_: Interval, digits: int = 1) -> str:
    return f"{_hundredfold(range_.low, digits)} to {_hundredfold(range_.high, digits)}{SPACE}%"


def points(difference: float, digits: int = 1) -> str:
    """A difference of two shares, in percentage points, always with its sign.

    >>> points(0.012), points(-0.00012, digits=3), points(-0.0001)
    ('+1.2', '−0.012', '0.0')
    """
    if not math.isfinite(difference):
        return "unknown"
    told = f"{difference * 100:+.{digits}f}"
    return told.replace("-", "−") if float(told) else told[1:]


def probability(p: float) -> str:
    """A p-value, short enough for a label.

    >>> probability(0.25), probability(0.000112), probability(0.0)
    ('0.25', '1.1 × 10⁻⁴', '0')
    """
    if not math.isfinite(p):
        return "unknown"
    if p == 0 or p >= 0.001:
        return f"{p:.2g}"
    mantissa, exponent = f"{p:.1e}".split("e")
    return f"{mantissa} × {power_of_ten(int(exponent))}"


def power_of_ten(exponent: int) -> str:
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def duration(seconds: float) -> str:
    """
    >>> [duration(seconds).replace(UNBROKEN, " ") for seconds in (0.04, 7.31, 141.2, 7260)]
    ['0.04 s', '7.3 s', '2 min 21 s', '2 h 1 min']
    """
    if not math.isfinite(seconds):
        return "unknown"
    minutes, rest = divmod(round(seconds), 60)
    if seconds < 59.95:
        spoken = f"{seconds:.2f} s" if seconds < 0.95 else f"{seconds:.1f} s"
    elif minutes < 60:
        spoken = f"{minutes} min {rest} s"
    else:
        spoken = f"{minutes // 60} h {minutes % 60} min"
    return spoken.replace(" ", UNBROKEN)


def moment(seconds: float) -> str:
    """
    >>> moment(1_795_518_300)
    '24 November 2026, 11:05 UTC'
    """
    at = datetime.fromtimestamp(seconds, UTC)
    return f"{at.day} {at:%B %Y, %H:%M} UTC"


def once_in(rate: float) -> str:
    """
    >>> once_in(0.001)
    'once in 1,000 times'
    """
    return f"once in {round(1 / rate):,} times" if rate > 0 else "never"


def plural(number: int, noun: str) -> str:
    """
    >>> plural(1, "window"), plural(2_000, "window")
    ('1 window', '2,000 windows')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def evidence(values: Mapping[str, Any]) -> str:
    """What a verdict rests on, as indented JSON; what is too long to read is cut, and says so."""
    whole = json.dumps(values, indent=2, ensure_ascii=False, default=str)
    if len(whole) <= EVIDENCE_LIMIT:
        return whole
    return f"{whole[:EVIDENCE_LIMIT]}\n… cut here: {len(whole):,} characters in all, and the history keeps every one"


def _hundredfold(share: float, digits: int) -> str:
    if not math.isfinite(share):
        return "unknown "
    if share in (0, 1):
        return f"{share * 100:.0f}"
    smallest = 10.0**-digits
    if 0 < share < 1 and round(share * 100, digits) == 100:
        return f">{100 - smallest:.{digits}f}"
    if 0 < share < 1 and round(share * 100, digits) == 0:
        return f"<{smallest:.{digits}f}"
    return f"{share * 100:.{digits}f}"
