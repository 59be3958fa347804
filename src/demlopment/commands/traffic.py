"""`demlopment traffic`: split the traffic of a running endpoint between two versions."""

import json
from typing import Annotated, Any
from urllib.parse import quote

import typer

from demlopment.commands.client import ask
from demlopment.commands.saying import say

app = typer.Typer(help="Split the traffic of a running endpoint between two versions.", no_args_is_help=True)


@app.command("show")
def show(context: typer.Context, model: Annotated[str, typer.Argument()] = "digits") -> None:
    """Show a model's traffic plan.

    Example: demlopment traffic show digits
    """
    _manage(context, "GET", model)


@app.command("split")
def split(
    context: typer.Context,
    control: Annotated[str, typer.Option(help="The version that most units keep.")],
    treatment: Annotated[str, typer.Option(help="The version that a share of the units meets.")],
    share: Annotated[float, typer.Option(min=0, max=1, help="That share, 0 to 1.")] = 0.5,
    salt: Annotated[str, typer.Option(help="Another salt is another assignment; keep it to raise a share.")] = "1",
    model: Annotated[str, typer.Option()] = "digits",
) -> None:
    """Split a model's traffic between two registered versions; the same unit always meets the same one.

    Example: demlopment traffic split --control 3.0 --treatment 4.0 --share 0.1
    """
    _manage(context, "PUT", model, {"control": control, "treatment": treatment, "share": share, "salt": salt})


@app.command("end")
def end(context: typer.Context, model: Annotated[str, typer.Argument()] = "digits") -> None:
    """End a split: every request goes to the default version again.

    Example: demlopment traffic end digits
    """
    _manage(context, "DELETE", model)


def _manage(context: typer.Context, method: str, model: str, plan: dict[str, Any] | None = None) -> None:
    said = ask(context, "management", method, f"/models/{quote(model, safe='')}/traffic", json=plan)
    say(json.dumps(said, indent=2))
