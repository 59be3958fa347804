"""`demlopment demo`, `train`, `monitor`, `history` and `settings`: turn the loop, and look at it."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from demlopment.commands.place import home_of, settings_of
from demlopment.commands.saying import say
from demlopment.errors import StoryError


def demo(context: typer.Context) -> None:
    """Turn the whole loop once on real digits, and write a report.

    Example: demlopment demo
    """
    settings = settings_of(context)
    home = home_of(settings)

    from rich.console import Console

    from demlopment.lifecycle.claims import claims
    from demlopment.lifecycle.loop import demonstrate
    from demlopment.terminal import Terminal
    from demlopment.web import report

    with Terminal(Console()) as terminal:
        story = demonstrate(home, settings, terminal)
    path = report.write(story, home.report)
    made = claims(story)
    for claim in made:
        say(f"{'yes' if claim.held else 'NO '}  {claim.sentence}")
    say(f"One turn in {story.seconds:.0f} s; {story.champion} is the champion. The report, which opens in any browser:")
    say(str(path))
    broken = [claim.sentence for claim in made if not claim.held]
    if broken:
        raise StoryError(f"The turn did not do what it claims: {broken[0]}.", f"Look at the evidence in {path}.")


def train(
    context: typer.Context,
    study: Annotated[
        str | None, typer.Option(help="Fit the best recipe of that search, in place of the settings it varied.")
    ] = None,
) -> None:
    """Fit a candidate to everything in the lake and put it through the gate.

    Example: demlopment train

    Several processes fit it together: torchrun --standalone --nproc-per-node 2 -m demlopment train
    """
    settings = settings_of(context)

    from rich.console import Console

    from demlopment import training
    from demlopment.lifecycle.learn import learn
    from demlopment.terminal import Terminal

    with training.gathered() as team:
        if not team.leads:
            training.join(team)
            return
        with Terminal(Console()) as terminal:
            verdict = learn(home_of(settings), settings, terminal, study=study, team=team)
    say(f"Verdict: {verdict.decision} {verdict.subject}.")


def monitor(
    context: typer.Context,
    archive: Annotated[Path, typer.Argument(help="The archive whose reference the traffic is compared with.")],
) -> None:
    """Compare the journalled traffic, window by window, with what a model was made for.

    Example: demlopment monitor traffic var/models/digits-4.0.mar

    The word traffic may be left out.
    """
    from demlopment import archive as archives
    from demlopment.lifecycle import observe

    settings = settings_of(context)
    model = archives.read(archive)
    home = home_of(settings)
    whole = observe.journalled(home, model.card.name, since=0)
    traffic = observe.alike(home, whole, model.card)
    accuracy = observe.window_accuracy(traffic, settings.monitoring)
    for window, (_, labelled, correct) in zip(observe.drift(traffic, model, settings.monitoring), accuracy, strict=True):
        worst = min(window.tests, key=lambda test: test.p_value, default=None)
        known = f"{correct}/{labelled} right" if labelled else "no labels yet"
        state = "ALARM" if window.drifted else "quiet"
        why = f"smallest p {worst.p_value:.1e} ({worst.name})" if worst else "nothing that could be compared was kept"
        unseen = f"; {window.unseen} without their picture" if window.unseen else ""
        say(f"{state}  from request {window.start}: {why}; {known}{unseen}")
    say(f"{len(whole.predictions)} requests in the journal, {len(accuracy)} full windows.")
    if other := len(whole.predictions) - len(traffic.predictions):
        say(f"{other} of the requests met versions that read other columns, and are passed over.")


def history(context: typer.Context) -> None:
    """List every verdict of this home, the oldest first.

    Example: demlopment history
    """
    from demlopment.lifecycle.history import History

    for entry in History(home_of(settings_of(context), growing=False).history).entries():
        when = datetime.fromtimestamp(entry.at).astimezone().isoformat(timespec="seconds")
        verdict = entry.verdict
        say(f"{entry.number:4}  {when}  {verdict.kind}: {verdict.decision} {verdict.subject}. {verdict.reason}")


def show_settings(context: typer.Context) -> None:
    """Show every setting with its value.

    Example: demlopment settings
    """
    say(settings_of(context).model_dump_json(indent=2))
