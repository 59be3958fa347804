"""What a turn on the packaged digits claims to show, held against what it did. Knows the story and nothing else."""

from dataclasses import dataclass

from demlopment.lifecycle.story import Story

LEAST_ACCURACY = 0.98  # on the held-out test part, for what the demo makes of the recipe, on the packaged digits


@dataclass(frozen=True)
class Claim:
    """One sentence about the turn, and whether it is true."""

    sentence: str
    held: bool


def claims(story: Story) -> tuple[Claim, ...]:
    """Every claim of the demonstration; it succeeded if all of them held."""
    return (*_of_the_data(story), *_of_the_models(story), *_of_the_traffic(story), *_of_the_alarm(story))


def _of_the_data(story: Story) -> tuple[Claim, ...]:
    first = story.ingests[0]
    kept = first.added + first.known
    return (
        Claim(
            f"All {first.planted} planted bad rows were caught, and every good row was kept",
            # A source may have bad rows of its own.
            first.rejected >= first.planted and kept == first.rows - first.rejected,
        ),
        Claim("Every row is in exactly one part", sum(story.parts.values()) == story.snapshots[0].rows),
    )


def _of_the_models(story: Story) -> tuple[Claim, ...]:
    # Not the best of all: whoever chooses on the test part reads it too well.
    best = next((fit for fit in story.fits if fit.title.endswith(f" {story.reading.treatment.version}")), story.fits[0])
    gates = [verdict.decision for verdict in story.verdicts if verdict.kind == "gate"]
    return (
        Claim(
            f"{best.title} reads {best.scores.accuracy:.2%} of the test part, at least {LEAST_ACCURACY:.0%}",
            best.scores.accuracy >= LEAST_ACCURACY,
        ),
        Claim("The gate refused a worse candidate and accepted a better one", {"promote", "refuse"} <= set(gates)),
        Claim("The alarm led to a retrained candidate, which was accepted", _retrained(story)),
    )


def _retrained(story: Story) -> bool:
    asked, judged = [verdict for verdict in story.verdicts if verdict.kind != "data"][-2:]
    accepted = (judged.kind, judged.decision, judged.subject) == ("gate", "promote", story.champion)
    return (asked.kind, asked.decision) == ("drift", "retrain") and accepted


def _of_the_traffic(story: Story) -> tuple[Claim, ...]:
    return (
        Claim(f"All {story.requests} answers were journalled", story.requests > 0 and story.unjournalled == 0),
        Claim("Every user met one model only", story.torn_units == 0),
        Claim("The split was the planned one, so that the experiment can be read", story.reading.sample_ratio_p >= 0.001),
    )


def _of_the_alarm(story: Story) -> tuple[Claim, ...]:
    early = [window for window in story.windows if window.drifted and window.start + window.examples <= story.change_at]
    late = [window for window in story.windows if window.drifted and window.start + window.examples > story.change_at]
    return (
        Claim("No alarm before the pens changed", not early),
        Claim("An alarm after the pens changed", bool(late)),
    )
