"""An inference app in this process, asked without a socket: for what a real endpoint would be slow to show."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demlopment.home import Home
from demlopment.serving.batching import Batching
from demlopment.serving.calls import Handlers
from demlopment.serving.engine import Engine
from demlopment.serving.http import wire
from demlopment.serving.inference import Inference
from demlopment.serving.journal import Journal
from demlopment.serving.launch import Launch
from demlopment.serving.state import State, Version
from demlopment.serving.tally import Tally
from demlopment.settings import Endpoint


@dataclass
class Said:
    """What the app sent."""

    status: int = 0
    phrase: bytes | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    def header(self, name: str) -> str | None:
        return dict(self.headers).get(name)


def app(root: Path, state: State, handlers: Handlers | None = None, **settings: object) -> Inference:
    """The app of one serving process that answers by `state`, whose archives are in `root`."""
    launch = Launch.of(Home(root), Endpoint.model_validate({"model_store": root, **settings}))
    tally, journal = Tally(), Journal(root / "journal", name="local")
    engine = Engine(root)
    assert engine.prepare(state) == {}
    engine.switch(state)
    return Inference(engine, journal, tally, Batching(journal, tally, launch.max_batch), launch, handlers)


def coded(*names: str) -> State:
    """Versions 1.0 of models that are Python handlers."""
    state = State()
    for name in names:
        state = state.register(name, "1.0", Version(f"{name}.mar", f"{name}.mar", 1, 1, kind="handler"))
    return state


def ask(inference: Inference, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Said:
    """One request and its whole answer."""
    return asyncio.run(asked(inference, method, target, body, headers))


async def asked(
    inference: Inference,
    method: str,
    target: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    gone: asyncio.Event | None = None,
    *,
    deaf: bool = False,
) -> Said:
    """The same inside a loop; the client hangs up when `gone` is set, or, if `deaf`, with the first byte of its answer."""
    path, _, query = target.partition("?")
    said, told, gone = Said(), False, gone or asyncio.Event()
    scope: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
    }

    async def receive() -> wire.Message:
        nonlocal told
        if not told:
            told = True
            return {"type": "http.request", "body": body, "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: wire.Message) -> None:
        if gone.is_set() or deaf:
            raise wire.ClientGoneError
        if message["type"] == "http.response.start":
            said.status, said.phrase = message["status"], message.get("phrase")
            said.headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"]]
        else:
            said.chunks.append(message["body"])

    await inference(scope, receive, send)
    return said
