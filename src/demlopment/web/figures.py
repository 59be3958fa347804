"""The story's charts, each with the words that stand for it where it cannot be seen. Knows the story, not the page."""

import base64
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from demlopment import images
from demlopment.lifecycle.story import Fit, Sample, Story
from demlopment.records import Scores
from demlopment.web import charts, facts, words
from demlopment.web.charts import Bar, Line
from demlopment.web.timeline import Timeline, timeline

WIDE, HALF, NARROW = 920, 720, 350  # pixels: a full column, a column of text, and a phone of 390 less its margins
GAP = 2  # pixels between the pictures of a contact sheet


def png(sample: Sample) -> str:
    """The picture as a data address."""
    return address(images.encode_png(sample.image))


def address(png: bytes) -> str:
    """A picture's bytes as a data address."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def contact_sheet(fit: Fit) -> str:
    """The training pictures of a fit with their versions, as one picture in a data address: a line for each class."""
    lines, across, side, _ = fit.sheet.shape
    step = side + GAP
    whole = np.zeros((lines * step - GAP, across * step - GAP), np.uint8)
    for i, j in np.ndindex(lines, across):
        whole[i * step :, j * step :][:side, :side] = fit.sheet[i, j]
    return address(images.encode_png(whole))


def accuracies(fits: Sequence[Fit], width: int = HALF) -> Markup:
    """The accuracy of every fitted network on the test part, side by side."""
    bars = [Bar(fit.title, fit.scores.accuracy, fit.interval) for fit in fits]
    spoken = "; ".join(f"{bar.name} {words.percent(bar.value)}, {words.interval(bar.interval)}" for bar in bars)
    return charts.interval_bars(bars, label=f"Accuracy on the test part with intervals: {spoken}", width=width)


def losses(fit: Fit, fits: Sequence[Fit]) -> Markup:
    """Training and validation loss of one fit, on an axis that all `fits` share so that they compare at a glance."""
    axis = charts.loss_axis(loss for each in fits for epoch in each.curve for loss in (epoch.train_loss, epoch.validation_loss))
    train = [(i + 1.0, epoch.train_loss) for i, epoch in enumerate(fit.curve)]
    validation = [(i + 1.0, epoch.validation_loss) for i, epoch in enumerate(fit.curve)]
    label = f"{fit.title}: loss in nats over {words.plural(len(fit.curve), 'epoch')}"
    lines = [Line("validation", validation, "blue"), Line("training", train, "teal dashed")]
    return charts.line_chart(lines, axis, label=label, x_name="epoch")


def validation_accuracy(fit: Fit, fits: Sequence[Fit]) -> Markup:
    """Validation accuracy of one fit, on an axis that all `fits` share."""
    axis = charts.share_axis(epoch.validation_accuracy for each in fits for epoch in each.curve)
    points = [(i + 1.0, epoch.validation_accuracy) for i, epoch in enumerate(fit.curve)]
    label = f"{fit.title}: validation accuracy over {words.plural(len(fit.curve), 'epoch')}"
    return charts.line_chart([Line("validation accuracy", points)], axis, label=label, x_name="epoch")


def confusion(fit: Fit, classes: Sequence[str]) -> Markup:
    counts = facts.confusion(fit.scores, len(classes))
    label = f"Confusion matrix of {fit.title}: {int(counts.trace()):,} of {int(counts.sum()):,} right"
    return charts.confusion_matrix(counts, classes, label=label)


def worst(fit: Fit, classes: Sequence[str]) -> tuple[str, str, int] | None:
    """The most frequent mistake as (true, read as, times); None if there was none."""
    return facts.worst_confusion(facts.confusion(fit.scores, len(classes)), classes)


def reliability(scores: Scores, when: str) -> Markup:
    """How honest the confidence is, `when` being "before calibration" or after it."""
    label = f"Reliability of {scores.model} {when}: its calibration error is {words.percent(scores.calibration_error)}"
    return charts.reliability_diagram(facts.calibration_bins(scores), label=label)


def sequence(story: Story, width: int = WIDE) -> Markup:
    reading = story.reading
    label = (
        f"Accuracy of treatment minus control as labels arrive: in the end {words.points(reading.effect)} points, "
        f"between {words.points(reading.interval.low)} and {words.points(reading.interval.high)}"
    )
    return charts.confidence_sequence(reading.sequence, label=label, width=width)


def drift(story: Story, width: int = WIDE) -> Markup:
    return timeline(timeline_of(story), label=timeline_label(story), width=width)


def timeline_of(story: Story) -> Timeline:
    change_at = facts.change(story)
    return Timeline(
        windows=story.windows,
        answered=facts.answered(story),
        change_at=change_at,
        alarms=facts.alarms(story.windows, change_at),
        requests=story.requests,
        served_by=" and ".join(facts.serving_arms(story)) or "the champion",
        successor=facts.successor(story),
    )


def timeline_title(story: Story) -> str:
    """What the timeline shows, as one sentence that holds whatever happened."""
    shown = timeline_of(story)
    successor = f", and {shown.successor} takes over" if shown.successor else ""
    if shown.change_at is None:
        return f"{words.plural(shown.alarms.false, 'alarm')} in {words.plural(shown.alarms.quiet, 'window')} without a change"
    if shown.alarms.first is None:
        return "The pens change, and no alarm is raised"
    return f"The pens change, the alarm comes {words.plural(shown.alarms.delay, 'request')} later{successor}"


def timeline_label(story: Story) -> str:
    shown = timeline_of(story)
    return (
        f"{timeline_title(story)}. Before the change there were {words.plural(shown.alarms.false, 'alarm')} "
        f"in {words.plural(shown.alarms.quiet, 'window')}. Every window is listed in the table of the report."
    )
