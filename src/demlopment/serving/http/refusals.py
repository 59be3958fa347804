"""What a connection says when it does not let a request through to the app. Knows no path."""

from demlopment.errors import RequestError
from demlopment.serving.http import wire
from demlopment.serving.http.wire import App, Receive, Scope, Send


def saying(error: RequestError) -> App:
    """An app whose answer is `error`."""

    async def refusal(scope: Scope, receive: Receive, send: Send) -> None:
        await wire.reply(send, wire.failure(error), wire.request_id({}))

    return refusal


def too_slow() -> RequestError:
    return RequestError(
        "The request did not arrive in time.", "Send it without pauses.", status=408, kind="RequestTimeoutException"
    )


def too_many(limit: int) -> RequestError:
    return _busy(f"More than {limit} requests wait on this connection.", "Send the next when the first is answered.")


def too_much() -> RequestError:
    return _busy("The endpoint holds as many bytes of requests as it may.", "Try again in a moment.")


def _busy(problem: str, remedy: str) -> RequestError:
    return RequestError(problem, remedy, status=503, kind="ServiceUnavailableException")
