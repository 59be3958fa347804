"""How a command talks to the endpoint that runs in its home. Knows HTTP, and no path."""

from typing import Any, Literal

import typer

from demlopment.commands.place import home_of, settings_of
from demlopment.errors import DataError, NotReadyError

REMEDY = "Correct the request."
NOT_THEIRS = "TorchServe itself answers here and has no traffic plans: serve with --engine own for one, or correct the request."


def ask(context: typer.Context, port: Literal["inference", "management"], method: str, path: str, **arguments: Any) -> Any:
    """The JSON of a successful answer of the endpoint that runs in this home, with its key if it asks for one.

    Raises DataError with the endpoint's own words if it refuses, NotReadyError if none runs or it does not answer.
    """
    import httpx2

    from demlopment import serving

    home = home_of(settings_of(context))
    addresses = serving.running(home)
    if addresses is None:
        raise NotReadyError(f"No endpoint is running on {home.root}.", "Start one: demlopment serve.")
    base_url = getattr(addresses, port)
    headers = serving.credentials(home, port) | arguments.pop("headers", {})
    try:
        answer = httpx2.request(method, base_url + path, timeout=60, headers=headers, **arguments)
    except httpx2.TransportError as error:
        raise NotReadyError(f"The endpoint at {base_url} does not answer: {error}.", "See whether it still runs.") from error
    if not answer.is_success:
        said = answer.json()["message"] if answer.content else answer.reason_phrase
        absent = answer.status_code == httpx2.codes.NOT_FOUND and addresses.engine == "torchserve"
        raise DataError(f"The endpoint answered {answer.status_code}: {said.rstrip('.')}.", NOT_THEIRS if absent else REMEDY)
    return answer.json()
