"""The words in which the table is written: a scenario is rows in order, a row is requests and how their answers compare."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tests.torchserve.exchange import Ask, Port
from tests.torchserve.normal import View
from tests.torchserve.server import Name


@dataclass(frozen=True)
class Row:
    """Requests that are sent at the same time, and what is known of their answers."""

    asks: tuple[Ask, ...]
    note: str = ""
    view: View = "exact"
    until: str = ""  # asked again until the body holds this
    deviation: str = ""  # of deviations.py, by its id
    ours: tuple[Mapping[str, Any], ...] = ()  # what we answer instead, laid over what TorchServe answers
    varies: bool = False  # TorchServe answers so often, not always: it is recorded once and not asked again

    @property
    def title(self) -> str:
        first = self.asks[0]
        return " ".join(part for part in (str(first), self.note) if part)


@dataclass(frozen=True)
class Scenario:
    """Rows in order, on a server that holds no model before and after."""

    name: str
    configuration: Name
    rows: tuple[Row, ...]


def ask(
    method: str,
    target: str,
    body: str | bytes = b"",
    kind: str = "",
    *,
    port: Port = "inference",
    headers: Mapping[str, str] | None = None,
    announced: int | None = None,
) -> Ask:
    """One request; `kind` is its content-type."""
    content = body.encode() if isinstance(body, str) else body
    named = {"content-type": kind} if kind else {}
    return Ask(method, target, content, tuple({**named, **(headers or {})}.items()), port, announced)


def infer(
    method: str,
    target: str,
    body: str | bytes = b"",
    kind: str = "",
    *,
    note: str = "",
    view: View = "exact",
    headers: Mapping[str, str] | None = None,
) -> Row:
    """A row of one request to the inference port."""
    return Row((ask(method, target, body, kind, headers=headers),), note, view)


def manage(
    method: str,
    target: str,
    body: str | bytes = b"",
    kind: str = "",
    *,
    note: str = "",
    view: View = "exact",
    until: str = "",
    headers: Mapping[str, str] | None = None,
) -> Row:
    """A row of one request to the management port."""
    return Row((ask(method, target, body, kind, port="management", headers=headers),), note, view, until)


def metrics(method: str, target: str, *, note: str = "", view: View = "metrics", until: str = "") -> Row:
    """A row of one request to the metrics port."""
    return Row((ask(method, target, port="metrics"),), note, view, until)


def deviating(deviation: str, row: Row, *ours: Mapping[str, Any]) -> Row:
    """The row, where ours deviates: what each of its requests is answered instead."""
    return replace(row, deviation=deviation, ours=ours)


def described(row: Row, *without: str) -> Row:
    """The row of an API description, of which ours writes its own: without what the port does not answer."""
    return replace(deviating("description", row, {"without": ["GET /metrics", *without]}), view="openapi")


def varying(row: Row) -> Row:
    """The row, where TorchServe races with itself."""
    return replace(row, varies=True)


def registered(archive: str, query: str = "initial_workers=1") -> Row:
    """A row that registers a file of the model store."""
    return manage("POST", f"/models?url={archive}.mar" + (f"&{query}" if query else ""))


def multipart(*parts: tuple[str, str | bytes]) -> bytes:
    """A form of `boundary`, each part as its header lines and its content."""
    lines = [b"--boundary\r\n" + head.encode() + b"\r\n\r\n" + (c.encode() if isinstance(c, str) else c) for head, c in parts]
    return b"\r\n".join([*lines, b"--boundary--\r\n"])


FORM = "multipart/form-data; boundary=boundary"
URLENCODED = "application/x-www-form-urlencoded"
JSON = "application/json"
