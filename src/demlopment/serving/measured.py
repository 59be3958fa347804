"""What handlers measure of their own: under their own names, bounded in number. Knows no worker and no port.

A name belongs to the first kind that uses it, and never to one of the endpoint's families or their samples. Names and
labels that Prometheus would refuse are made valid, and what cannot be kept is counted.
"""

import math
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from demlopment.serving import exposition
from demlopment.serving.families import FAMILIES, OURS
from demlopment.serving.tally import Series, Tally, total

MARK = "*"  # no family's name: begins the series counted here, of which name, unit, model, version, labels and values follow
KINDS = ("counter", "gauge", "histogram")
SUFFIXES = ("_bucket", "_count", "_sum")  # of a histogram's samples
# Of one version. A label made of a request's id would fill the memory here and in whatever scrapes it.
MAX_SERIES = 200
MAX_LABELS = 10
MAX_TEXT = 100  # characters of a name or a value
# The Java client's, which TorchServe's users have in their dashboards.
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
VERSION = ("model_name", "model_version")
HOST = "Hostname"
RESERVED = {*VERSION, HOST, "le"}  # labels that are ours to give


@dataclass(frozen=True)
class Measured:
    """One measurement as its handler made it; nothing in it is valid yet."""

    name: str
    kind: str
    unit: str
    value: float
    labels: tuple[tuple[str, str], ...]


def note(tally: Tally, key: tuple[str, str], measured: Measured) -> None:
    """Count a measurement of the version `key`, or that it was dropped."""
    name = _valid(measured.name, ":")
    labels = _labels(measured.labels)
    series = (MARK, name, _text(measured.unit), *key, *(part for pair in labels.items() for part in pair))
    if not _countable(measured) or not _room(tally, measured.kind, series):
        tally.add("demlopment_handler_metrics_dropped_total", *key)
    elif measured.kind == "counter":
        tally.add(*series, amount=measured.value)
    elif measured.kind == "gauge":
        tally.gauge(*series, value=measured.value)
    else:
        tally.histogram(*series, bounds=BOUNDS).observe(measured.value)


def lines(tally: Tally, hostname: str, chosen: Collection[str] = (), *, strict: bool = False) -> Iterator[str]:
    """The exposition text of every measured family, or of the `chosen` ones.

    `strict` puts all versions of all models together, as TorchServe does where a handler gives no label for them.
    """
    units = {series[1]: series[2] for series in (*tally.counters, *tally.gauges, *tally.histograms) if series[0] == MARK}
    shown = _shown(tally, hostname, strict=strict)
    values = shown.counters | {series: seen[0] for series, seen in shown.gauges.items()}
    kinds = _by_kind(shown)
    for kind, name in sorted({(kind, series[0]) for kind, mine in kinds.items() for series in mine}):
        if not chosen or name in chosen:
            yield from exposition.heading(name, kind, f"Torchserve prometheus {kind} metric with unit: {units[name]}")
            for series in sorted(series for series in kinds[kind] if series[0] == name):
                labels, texts = series[1::2], series[2::2]
                if kind == "histogram":
                    yield from exposition.samples(name, labels, texts, shown.histograms[series])
                else:
                    yield exposition.sample(name, labels, texts, values[series])


def _shown(tally: Tally, hostname: str, *, strict: bool) -> Tally:
    """What was measured, each series a name and then labels and values in turn."""

    def named(series: Series) -> Series:
        version = () if strict else (VERSION[0], series[3], VERSION[1], series[4])
        return (series[1], *series[5:], *version, HOST, hostname)

    return total(
        [
            *(Tally(counters={named(series): value}) for series, value in tally.counters.items() if series[0] == MARK),
            *(Tally(gauges={named(series): seen}) for series, seen in tally.gauges.items() if series[0] == MARK),
            *(Tally(histograms={named(series): each}) for series, each in tally.histograms.items() if series[0] == MARK),
        ]
    )


def _countable(measured: Measured) -> bool:
    return measured.kind in KINDS and math.isfinite(measured.value) and (measured.kind != "counter" or measured.value >= 0)


def _room(tally: Tally, kind: str, series: Series) -> bool:
    kinds = _by_kind(tally)
    if series in kinds[kind]:
        return True
    known = [(each, other) for each, its in kinds.items() for other in its if other[0] == MARK]
    taken = TAKEN.union(*(_names(each, other[1]) for each, other in known if (each, other[1]) != (kind, series[1])))
    mine = sum(other[3:5] == series[3:5] for _, other in known)
    return mine < MAX_SERIES and not series[1].startswith(OURS) and taken.isdisjoint(_names(kind, series[1]))


def _by_kind(tally: Tally) -> dict[str, Collection[Series]]:
    return {"counter": tally.counters.keys(), "gauge": tally.gauges.keys(), "histogram": tally.histograms.keys()}


def _names(kind: str, name: str) -> set[str]:
    """What a family and its samples are called."""
    return {name, *(name + suffix for suffix in SUFFIXES)} if kind == "histogram" else {name}


def _labels(pairs: tuple[tuple[str, str], ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in pairs[:MAX_LABELS]:
        label = _valid(name)
        # As Prometheus renames what collides with its own; two underscores at the start are its own too.
        label = f"exported_{label}" if label in RESERVED or label.startswith("__") else label
        found.setdefault(label, _text(value))
    return found


def _valid(name: str, more: str = "") -> str:
    valid = re.sub(f"[^a-zA-Z0-9_{more}]", "_", name[:MAX_TEXT])
    return valid if valid[:1].isalpha() or valid[:1] == "_" else f"_{valid}"


def _text(text: str) -> str:
    """What can be written as UTF-8, in one line."""
    return text[:MAX_TEXT].encode(errors="replace").decode().replace("\r", " ").replace("\n", " ")


TAKEN: frozenset[str] = frozenset().union(*(_names(family.kind, family.name) for family in FAMILIES))
