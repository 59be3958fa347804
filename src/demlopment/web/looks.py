"""What a test said at every look, as one picture for all versions of a plan. Decides nothing."""

from demlopment.lifecycle.look import Look, Seen
from demlopment.web import charts
from demlopment.web.alone import alone
from demlopment.web.svg import element, text

WIDE, TALL, MARGIN, HEAD = 920, 260, 28, 62  # pixels


def picture(look: Look) -> str:
    """The interval of each effect over the labels, with what is of no interest between dashed lines."""
    titles = [f"{each.entry.verdict.subject} beside {each.entry.verdict.against}: {each.found.metric}" for each in look.seen]
    drawn = [
        element(
            "g",
            text(0, 12, title, "title"),
            element("g", _chart(each, look, title), transform="translate(0 30)"),
            transform=f"translate({MARGIN} {MARGIN + place * (HEAD + TALL)})",
        )
        for place, (title, each) in enumerate(zip(titles, look.seen, strict=True))
    ]
    return alone(WIDE + 2 * MARGIN, MARGIN + (HEAD + TALL) * len(drawn), "; ".join(titles), *drawn)


def _chart(each: Seen, look: Look, title: str) -> str:
    metric = look.metric
    shown = metric.factor / 100  # the chart shows hundredths, as accuracies are told
    sequence = [(labels, shown * low, shown * high) for labels, low, high in each.found.sequence]
    most = max((max(abs(low), abs(high)) for _, low, high in sequence), default=1.0)
    interest = shown * each.found.minimum_effect
    return charts.confidence_sequence(
        sequence,
        label=title,
        width=WIDE,
        interest=interest,
        unit=metric.unit,
        most=most,
        digits=metric.digits,
        counted=metric.counts,
    )
