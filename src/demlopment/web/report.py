"""The report of one turn: a page that opens anywhere, from disk, without a network or a script. Decides nothing."""

import platform
from pathlib import Path

import jinja2

from demlopment import __version__, home
from demlopment.lifecycle.story import Story
from demlopment.web import facts, figures, palette, timeline, words
from demlopment.web.alone import alone
from demlopment.web.svg import element, text

NAME, PICTURE = "report.html", "timeline.svg"
MARKS = {  # a decision without colour
    "promote": "✓",
    "refuse": "✕",
    "keep": "=",
    "continue": "…",
    "stop": "■",
    "retrain": "↻",
    "hold": "–",
    "wait": "–",
    "ask for labels": "?",
    "roll back": "↩",
}


def render(story: Story) -> str:
    """The whole page as HTML, with its styles, charts and pictures inside it."""
    change_at = facts.change(story)
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            story=story,
            champion=facts.serving_fit(story),
            shown=facts.shown_fit(story),
            deciding=facts.deciding(story),
            decisions=facts.decisions(story),
            change_at=change_at,
            alarms=facts.alarms(story.windows, change_at),
            windows=[(report, timeline.smallest(report)) for report in story.windows],
            answered={window.start: window for window in facts.answered(story)},
            figures=figures,
            palette=palette,
            marks=MARKS,
            versions=[
                ("deMLopment", __version__),
                (platform.python_implementation(), platform.python_version()),
                ("platform", platform.platform(terse=True)),
            ],
        )
    )


def write(story: Story, folder: Path) -> Path:
    """Write the page as `report.html`, and the timeline as `timeline.svg`, into `folder`; return the page's path.

    Raises HomeError if the folder cannot be written.
    """
    path = folder / NAME
    home.replace(folder / PICTURE, picture(story).encode("utf-8", "replace"))
    home.replace(path, render(story).encode("utf-8", "replace"))
    return path


def picture(story: Story) -> str:
    """The drift timeline as an SVG that stands alone, on a light background so that it reads on any page."""
    shown = figures.timeline_of(story)
    frame = timeline.frame(shown, figures.WIDE)
    width, height = frame.width + 2 * 28, frame.height + 92
    return alone(
        width,
        height,
        figures.timeline_label(story),
        text(28, 40, figures.timeline_title(story), "title"),
        text(28, 62, "One turn of the loop. The monitor sees only the pictures; it is told neither the labels nor the change."),
        element("g", *timeline.marks(shown, frame), transform="translate(28 84)"),
    )


def environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("demlopment.web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    spoken = (words.count, words.percent, words.interval, words.points, words.probability, words.duration, words.moment)
    environment.filters |= {verb.__name__: verb for verb in (*spoken, words.once_in, words.plural, words.evidence)}
    environment.filters |= {"png": figures.png, "address": figures.address}
    return environment
