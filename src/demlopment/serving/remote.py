"""Ask another server, and hand its response on as it is. Knows HTTP and addresses; knows no plan and no journal.

Connections are kept and used again. What makes one is imported with the first request: it takes 11 MB, and most endpoints
have no upstream.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from demlopment.errors import NotReadyError
from demlopment.serving.calls import RecalledError, Reply
from demlopment.serving.http import wire
from demlopment.serving.http.wire import Request
from demlopment.serving.paths import Target
from demlopment.serving.upstream import Upstream

if TYPE_CHECKING:
    import httpx2

CONNECT_SECONDS = 5.0  # a machine in the same network that answers at all does so in a thousandth of that
IDLE_SECONDS = 30.0  # a connection that nobody used is closed
HEALTH_SECONDS = 2.0  # for an answer to /ping
FRESH_SECONDS = 1.0  # an answer to /ping is believed that long
RETRY_SECONDS = 1  # what clients are told to wait: a restart takes longer, a connection that broke less
WHOLE_BYTES = 1_000_000  # a body up to this is read before the first byte of it leaves, if its length is known
# RFC 9110: of one connection, not of the message. The length is said anew, and the names of hosts differ.
HOP_BY_HOP = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
NOT_SENT = HOP_BY_HOP | {"host", "content-length", "expect", "x-request-id"}
# Answers of ours have them.
OURS = frozenset(name.decode() for name, _ in wire.ALWAYS) | {"x-request-id", "x-model-version", "x-arm"}
NOT_PASSED_ON = HOP_BY_HOP | OURS | {"content-length"}


@dataclass(eq=False)
class Remotes:
    """The upstreams of one serving process."""

    connections: int = 1024
    _client: "httpx2.AsyncClient | None" = None
    _seen: dict[str, tuple[float, str]] = field(default_factory=dict)  # /ping: when it was asked, and what is wrong with it

    async def ask(self, upstream: Upstream, request: Request, target: Target, seconds: float, *, spare: bool) -> Reply:
        """The upstream's response; ours, 503 with Retry-After, where it cannot be reached, and 504 where it is too late.

        Raises RecalledError where nothing could be sent and somebody else answers (`spare`), RequestError for a path that it
        does not have.
        """
        import httpx2

        asked = self._request(upstream, request, target, seconds)
        try:
            async with asyncio.timeout(seconds):
                response = await self._open().send(asked, stream=True)
                return await _reply(response)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as unreachable:
            if spare:
                raise RecalledError(broken=True) from unreachable
            return _excuse(503, "ServiceUnavailableException", f"The upstream {upstream.base} cannot be reached.")
        except (TimeoutError, httpx2.TimeoutException):
            words = f"The upstream {upstream.base} has not answered within {seconds:g} seconds."
            return _excuse(504, "RequestTimeoutException", words)
        except httpx2.TransportError:
            return _excuse(503, "ServiceUnavailableException", f"The upstream {upstream.base} broke off its answer.")

    async def trouble(self, upstreams: Iterable[Upstream]) -> str:
        """What is wrong with the first of them that is not well, or nothing."""
        pings = sorted({each.health for each in upstreams})
        found = await asyncio.gather(*map(self._health, pings))
        return next((trouble for trouble in found if trouble), "")

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def _health(self, ping: str) -> str:
        import httpx2

        at, trouble = self._seen.get(ping, (-FRESH_SECONDS, ""))
        if time.monotonic() < at + FRESH_SECONDS:
            return trouble
        try:
            async with asyncio.timeout(HEALTH_SECONDS):
                status = (await self._open().send(httpx2.Request("GET", ping))).status_code
            # One that wants a token for this is alive.
            trouble = f"{ping} answers {status}." if status >= 500 else ""
        except (TimeoutError, httpx2.HTTPError):
            trouble = f"{ping} does not answer."
        self._seen[ping] = (time.monotonic(), trouble)
        return trouble

    def _request(self, upstream: Upstream, request: Request, target: Target, seconds: float) -> "httpx2.Request":
        import httpx2

        url = upstream.path(target) + (f"?{request.query.decode('latin-1')}" if request.query else "")
        left = NOT_SENT | _of_the_connection(request.headers.get(b"connection", b"").decode("latin-1"))
        headers = [(name, value) for name, value in request.headers.items() if name.decode("latin-1") not in left]
        headers.append((b"x-request-id", request.id.encode()))
        times = {"connect": min(CONNECT_SECONDS, seconds), "read": seconds, "write": seconds, "pool": CONNECT_SECONDS}
        return httpx2.Request(request.method, url, headers=headers, content=request.body, extensions={"timeout": times})

    def _open(self) -> "httpx2.AsyncClient":
        import httpx2

        if self._client is None:
            limits = httpx2.Limits(
                max_connections=self.connections, max_keepalive_connections=self.connections, keepalive_expiry=IDLE_SECONDS
            )
            self._client = httpx2.AsyncClient(verify=ssl.create_default_context(), limits=limits, trust_env=False)
        return self._client


async def _reply(response: "httpx2.Response") -> Reply:
    """Whole, or the beginning of what is long or of unknown length."""
    ours = NOT_PASSED_ON | _of_the_connection(response.headers.get("connection", ""))
    headers = tuple((name, value) for name, value in response.headers.multi_items() if name.lower() not in ours)
    phrase = response.extensions.get("reason_phrase", b"").decode("latin-1")
    chunks = response.aiter_raw()
    if response.request.method == "HEAD" or response.status_code in wire.BODILESS:
        await response.aclose()
        return Reply(response.status_code, phrase, headers, b"")
    length = response.headers.get("content-length", "")
    if length.isdecimal() and int(length) <= WHOLE_BYTES:
        body = b"".join([chunk async for chunk in chunks])
        await response.aclose()
        return Reply(response.status_code, phrase, headers, body)
    first = await anext(chunks, b"")
    return Reply(response.status_code, phrase, headers, first, _rest(response, chunks))


async def _rest(response: "httpx2.Response", chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    import httpx2

    try:
        async for chunk in chunks:
            yield chunk
    except httpx2.HTTPError as broken:
        raise NotReadyError("The upstream broke off its answer.", "Send the request again.") from broken
    finally:
        await response.aclose()


def _of_the_connection(said: str) -> set[str]:
    """The headers that a `Connection` header names."""
    return {name.strip().lower() for name in said.split(",")}


def _excuse(status: int, kind: str, words: str) -> Reply:
    triple: Mapping[str, Any] = {"code": status, "type": kind, "message": words}
    headers = (("content-type", "application/json"), ("retry-after", str(RETRY_SECONDS)))
    return Reply(status, "", headers, wire.as_json(triple).body)
