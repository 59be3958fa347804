"""Shares that move by themselves: canaries and bandits. Commands of `demlopment traffic`."""

import json
import time
from contextlib import closing
from dataclasses import asdict
from typing import Annotated, Any
from urllib.parse import quote

import typer

from demlopment.commands.client import ask
from demlopment.commands.place import home_of, settings_of
from demlopment.commands.saying import say
from demlopment.errors import DataError, NotReadyError


def canary(
    context: typer.Context,
    control: Annotated[str, typer.Option(help="The version that most units keep.")],
    treatment: Annotated[str, typer.Option(help="The version whose share grows.")],
    step: Annotated[
        list[float] | None, typer.Option(help="A share; several, rising [default: 0.01, 0.05, 0.2 and 0.5].")
    ] = None,
    dwell: Annotated[float | None, typer.Option(help="Seconds that each step lasts, at least [default: 300].")] = None,
    requests: Annotated[
        int | None, typer.Option(help="Requests that the canary has answered in each step, at least [default: 100].")
    ] = None,
    guardrail: Annotated[
        list[str] | None, typer.Option(help="NAME=LIMIT, or NAME=none: one that is other than its default.")
    ] = None,
    salt: Annotated[str, typer.Option(help="Another salt is another assignment.")] = "1",
    unit: Annotated[str | None, typer.Option(help="What stays with its arm, as for split.")] = None,
    model: Annotated[str, typer.Option()] = "digits",
) -> None:
    """Let a version's share grow by itself, and fall to nothing at the first guardrail that it breaks.

    Example: demlopment traffic canary --control 3.0 --treatment 4.0 --guardrail errors=0.01
    """
    wishes: dict[str, Any] = {"steps": step or None, "dwell": dwell, "requests": requests}
    chosen = {name: value for name, value in wishes.items() if value is not None}  # the endpoint has the defaults
    chosen["guardrails"] = dict(map(_limit, guardrail or ()))
    plan = {"control": control, "treatments": [{"version": treatment}], "salt": salt, "canary": chosen}
    manage(context, "PUT", model, plan if unit is None else plan | {"unit": unit})


def pause(context: typer.Context, model: Annotated[str, typer.Argument()] = "digits") -> None:
    """Let a canary keep the share that it has.

    Example: demlopment traffic pause digits
    """
    manage(context, "PUT", model, action="/pause")


def resume(context: typer.Context, model: Annotated[str, typer.Argument()] = "digits") -> None:
    """Let a canary go on that was paused, or that a restart has halted.

    Example: demlopment traffic resume digits
    """
    manage(context, "PUT", model, action="/resume")


def abort(context: typer.Context, model: Annotated[str, typer.Argument()] = "digits") -> None:
    """Take a canary's traffic away for good; the plan stays, and says so.

    Example: demlopment traffic abort digits
    """
    manage(context, "PUT", model, action="/abort")


def bandit(
    context: typer.Context,
    model: Annotated[str, typer.Argument()] = "digits",
    floor: Annotated[float, typer.Option(help="Share that every version keeps, so that its luck can turn.")] = 0.05,
    days: Annotated[float, typer.Option(min=0.001, help="Labels of answers older than this are forgotten.")] = 14,
    every: Annotated[
        float | None, typer.Option(min=1, help="Seconds until it is done again, for ever [default: it is done once].")
    ] = None,
) -> None:
    """Give each version of the plan in force the share that its labels earn it: for right answers now, instead of a verdict.

    Example: demlopment traffic bandit digits --floor 0.05 --every 600
    """
    from demlopment.lifecycle import bandit as bandits
    from demlopment.lifecycle.rollout import Rollout
    from demlopment.serving import running

    home = home_of(settings_of(context), growing=False)
    while True:
        addresses = running(home)
        if addresses is None:
            raise NotReadyError(f"No endpoint runs in {home.root}.", "Start it: demlopment serve.")
        with closing(Rollout(home, asdict(addresses))) as rollout:
            say(bandits.move(home, rollout, model, floor, days, time.time()).sentence)
        if every is None:
            return
        time.sleep(every)


def manage(context: typer.Context, method: str, model: str, plan: dict[str, Any] | None = None, action: str = "") -> None:
    """Tell the endpoint what becomes of a model's traffic, and say what its plan is now."""
    content = None if plan is None else json.dumps(plan)  # with NaN, if that was given: the endpoint names its field
    said = ask(context, "management", method, f"/models/{quote(model, safe='')}/traffic{action}", content=content)
    say(json.dumps(said, indent=2))


def _limit(given: str) -> tuple[str, float | None]:
    name, _, limit = given.partition("=")
    try:
        return name, None if limit == "none" else float(limit)
    except ValueError:
        raise DataError(f"The guardrail is {given!r}.", "Give NAME=LIMIT, such as errors=0.01, or NAME=none.") from None
