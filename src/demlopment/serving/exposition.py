"""Samples as Prometheus reads them, in the Java client's spelling: a comma before the closing brace. Knows no family."""

from collections.abc import Iterator, Sequence

from demlopment.serving.tally import Histogram


def heading(name: str, kind: str, text: str) -> tuple[str, str]:
    """What a family says of itself before its samples."""
    return f"# HELP {name} {text}", f"# TYPE {name} {kind}"


def sample(name: str, labels: Sequence[str], values: Sequence[str], value: float) -> str:
    """One line; labels without a value are left out."""
    pairs = "".join(f'{label}="{_escaped(text)}",' for label, text in zip(labels, values, strict=False))
    return f"{name}{{{pairs}}} {float(value)}" if pairs else f"{name} {float(value)}"


def samples(name: str, labels: Sequence[str], values: Sequence[str], histogram: Histogram) -> Iterator[str]:
    """The lines of one histogram: its buckets, each with everything below it, then count and sum."""
    below = 0
    for bound, count in zip((*map(str, histogram.bounds), "+Inf"), histogram.counts, strict=True):
        below += count
        yield sample(f"{name}_bucket", (*labels, "le"), (*values, bound), float(below))
    yield sample(f"{name}_count", labels, values, float(below))
    yield sample(f"{name}_sum", labels, values, histogram.total)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
