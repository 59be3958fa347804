"""How a command talks to the endpoint that runs in its home. Knows HTTP, and no path."""

from typing import TYPE_CHECKING, Any

import typer

from demlopment.commands.place import home_of, settings_of
from demlopment.errors import DataError, NotReadyError

if TYPE_CHECKING:
    from demlopment.serving import Addresses


def running(context: typer.Context) -> "Addresses":
    """Where the home's endpoint answers. Raises NotReadyError if none runs."""
    from demlopment import serving

    home = home_of(settings_of(context))
    addresses = serving.running(home)
    if addresses is None:
        raise NotReadyError(f"No endpoint is running on {home.root}.", "Start one: demlopment serve.")
    return addresses


def expect(answer: Any) -> Any:
    """The JSON of a successful answer; what the endpoint says otherwise, as an error."""
    if not answer.is_success:
        said = answer.json()["message"].rstrip(".")
        raise DataError(f"The endpoint answered {answer.status_code}: {said}.", "Correct the request.")
    return answer.json()
