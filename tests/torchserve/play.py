"""Play a scenario against a server: its rows in order, on a server without models."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from tests.torchserve.exchange import Answer, Ask
from tests.torchserve.normal import Seen, kinds, seen
from tests.torchserve.server import Server
from tests.torchserve.table import Row, Scenario

PATIENCE_SECONDS = 30  # of a row that is asked again: a worker loads in less on a busy machine
PAUSE_SECONDS = 0.05  # between two of these; the server needs the processor for what is waited for


def play(server: Server, scenario: Scenario) -> dict[str, list[Seen]]:
    """What each row was answered, by its title."""
    clear(server)
    return {row.title: _answers(server, row) for row in scenario.rows}


def clear(server: Server) -> None:
    """Unregister everything, defaults last. A server whose model API is off keeps what it started with."""
    listed = server.send(Ask("GET", "/models", port="management"))
    for name in [each["modelName"] for each in json.loads(listed.body).get("models", [])]:
        described = server.send(Ask("GET", f"/models/{name}/all", port="management"))
        assert described.status == 200, described
        for version in [each["modelVersion"] for each in json.loads(described.body)]:
            server.send(Ask("DELETE", f"/models/{name}/{version}", port="management"))
        server.send(Ask("DELETE", f"/models/{name}", port="management"))


def _answers(server: Server, row: Row) -> list[Seen]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        answers = [seen(answer, row.view) for answer in _together(server, row)]
        if not row.until or row.until in json.dumps([each.get("body") for each in answers]).replace('\\"', '"'):
            break
        if time.monotonic() > deadline:
            break
        threading.Event().wait(PAUSE_SECONDS)
    return kinds(answers) if row.view == "kinds" else answers


def _together(server: Server, row: Row) -> list[Answer]:
    if len(row.asks) == 1:
        return [server.send(row.asks[0])]
    with ThreadPoolExecutor(len(row.asks)) as pool:
        return list(pool.map(server.send, row.asks))
