"""`demlopment traffic`: split the traffic of a running endpoint between versions."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from demlopment.commands import steering
from demlopment.commands.place import home_of, settings_of
from demlopment.commands.saying import say
from demlopment.commands.steering import manage
from demlopment.errors import DataError

app = typer.Typer(help="Split the traffic of a running endpoint between versions.", no_args_is_help=True)
for command in (steering.canary, steering.pause, steering.resume, steering.abort, steering.bandit):
    app.command(command.__name__)(command)


@app.command("show")
def show(context: typer.Context, model: Annotated[str, typer.Argument()] = "digits") -> None:
    """Show a model's traffic plan.

    Example: demlopment traffic show digits
    """
    manage(context, "GET", model)


@app.command("split")
def split(
    context: typer.Context,
    control: Annotated[str, typer.Option(help="The version that most units keep.")],
    treatment: Annotated[
        list[str] | None, typer.Option(help="VERSION=SHARE: a version and the share of the units that meets it.")
    ] = None,
    shadow: Annotated[list[str] | None, typer.Option(help="A version that is asked as well, and that nobody hears.")] = None,
    salt: Annotated[str, typer.Option(help="Another salt is another assignment; keep it to raise a share.")] = "1",
    unit: Annotated[
        str | None,
        typer.Option(
            help="What stays with its arm: header:NAME, cookie:NAME, field:NAME, client or request [default: header:x-unit-id]."
        ),
    ] = None,
    starts: Annotated[str | None, typer.Option(help="Until then the control answers: 2027-01-31T12:00:00Z.")] = None,
    ends: Annotated[str | None, typer.Option(help="From then on the control answers.")] = None,
    a_a: Annotated[bool, typer.Option("--a-a", help="Let the arms be the same network, to try the split itself.")] = False,
    model: Annotated[str, typer.Option()] = "digits",
) -> None:
    """Split a model's traffic between registered versions; the same unit always meets the same one.

    Example: demlopment traffic split --control 3.0 --treatment 4.0=0.1
    """
    plan = {
        "control": control,
        "treatments": [_treatment(each) for each in treatment or ()],
        "shadows": shadow or [],
        "salt": salt,
        "starts": starts,
        "ends": ends,
        "a_a": a_a,
    }
    manage(context, "PUT", model, plan if unit is None else plan | {"unit": unit})


@app.command("plan")
def plan(
    context: typer.Context,
    effect: Annotated[float, typer.Option(help="How much better a version is to be: 0.01 is one point.")],
    model: Annotated[str, typer.Argument()] = "digits",
    share: Annotated[float, typer.Option(help="Share of the units that the treatment meets.")] = 0.5,
    shadow: Annotated[bool, typer.Option("--shadow", help="The version is a shadow, which sees every picture.")] = False,
    accuracy: Annotated[float | None, typer.Option(help="Of the control [default: of the labels that came back].")] = None,
    differing: Annotated[
        float | None, typer.Option(help="Share that a shadow answers otherwise [default: as shadows did].")
    ] = None,
    labels_per_day: Annotated[float | None, typer.Option(help="Labels that come back [default: as they did].")] = None,
    confidence: Annotated[float, typer.Option(help="With which a verdict is right, however often one looks.")] = 0.95,
    power: Annotated[float, typer.Option(help="Chance that the test finds the effect.")] = 0.8,
) -> None:
    """Say how many labelled requests and about how many days a test needs, before it starts.

    Example: demlopment traffic plan --effect 0.01 --accuracy 0.97 --labels-per-day 500
    """
    from demlopment.lifecycle import observe, outlook

    home, now = home_of(settings_of(context), growing=False), time.time()
    registered = observe.registered(home, model)
    traffic = observe.journalled(home, model, now - outlook.RECENT_SECONDS)
    known = outlook.pace(traffic, registered.default if registered else "", now)
    wish = outlook.Wish(effect, share, confidence, power, shadow, accuracy, differing, labels_per_day)
    for line in outlook.outlook(wish, known):
        say(line)


@app.command("read")
def read(
    context: typer.Context,
    model: Annotated[str, typer.Argument()] = "digits",
    metric: Annotated[
        str, typer.Option(help="accuracy, log_loss, cost, abstention, confidence, latency or milliseconds.")
    ] = "accuracy",
    minimum_effect: Annotated[
        float | None, typer.Option(help="Less is of no interest, in the metric's unit [default: monitoring.minimum_effect].")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Write the intervals over time into this SVG.")] = None,
) -> None:
    """Say what the labels that came back say of each treatment and each shadow; look at any time, as often as you like.

    Example: demlopment traffic read digits --minimum-effect 0.01 --plot looks.svg
    """
    from demlopment.home import replace
    from demlopment.lifecycle.look import look
    from demlopment.web import looks

    settings = settings_of(context)
    found = look(home_of(settings, growing=False), settings, model, metric, minimum_effect, time.time())
    for each in found.seen:
        say(each.found.sentence)
        say(f"  Decision: {each.found.decision}. It is verdict {each.entry.number} of the history.")
        for detail in each.details:
            say(f"  {detail}")
    if found.unread:
        say(found.unread)
    others = f"; {found.elsewhere} labels are for no request of it" if found.elsewhere else ""
    say(f"Plan {found.plan.number}: {found.requests} requests, {found.labelled} with a label{others}.")
    if (canary := found.plan.canary) is not None:
        because = f" ({canary.reason})" if canary.reason else ""
        (treatment,) = found.plan.treatments
        say(f"The canary {treatment.version} is {canary.state}{because}, with a share of {treatment.share:g}.")
    if plot is not None and not found.seen:
        raise DataError("There is nothing to draw.", "Draw a plan that has a treatment with a share, or a shadow.")
    if plot is not None:
        replace(plot, looks.picture(found).encode())
        say(f"The intervals over time are in {plot}.")


@app.command("end")
def end(context: typer.Context, model: Annotated[str, typer.Argument()] = "digits") -> None:
    """End a split: every request goes to the default version again.

    Example: demlopment traffic end digits
    """
    manage(context, "DELETE", model)


def _treatment(given: str) -> dict[str, Any]:
    version, _, share = given.partition("=")
    try:
        return {"version": version, "share": float(share)}
    except ValueError:
        raise DataError(f"The treatment is {given!r}.", "Give VERSION=SHARE, such as 4.0=0.1.") from None
