"""A handler whose workers are killed, hang, leak and die under load over HTTP: only the request in hand sees it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from demlopment.serving import read
from tests.serving.endpoint import Load, Running, digit, eventually, free_ports, registered, running
from tests.serving.handlers.hosting import packed

HANDLER = """
import os, threading

def one(body):
    if body == b"die":
        os._exit(7)
    if body == b"hang":
        threading.Event().wait()
    if body == b"leak":
        return bytearray(10 ** 12)
    return str(len(body))

def handle(data, context):
    return data and [one(bytes(row["body"])) for row in data]
"""
DIED = (500, "Worker died.")
LOUD = {"die": DIED, "hang": DIED, "leak": (507, "Out of resources")}  # what the client of such a request is told


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Running]:
    """`digits`, a network, and `code`, a handler with two workers and batches."""
    home = registered(tmp_path, "1.0")
    packed(home.models / "code.mar", {"handler.py": HANDLER}, {"modelName": "code", "handler": "handler.py"})
    settings = free_ports(allow_handlers=True, response_timeout=1, worker_memory_mb=1024)
    with running(tmp_path, settings) as started:
        query = "url=code.mar&initial_workers=2&synchronous=true&batch_size=4"
        assert started.management.post(f"/models?{query}", timeout=60).status_code == 200
        yield started


def workers(endpoint: Running) -> list[int]:
    return [pid for pid in endpoint.pids("code") if pid]


def asked(client: httpx2.Client, order: str) -> tuple[int, str]:
    answer = client.post("/predictions/code", content=order, headers={"x-request-id": order})
    return answer.status_code, answer.json()["message"] if answer.status_code >= 400 else answer.text


def test_what_befalls_a_handler_under_load_is_seen_by_its_own_request_alone(endpoint: Running, tmp_path: Path) -> None:
    with Load(endpoint, clients=3, path="/predictions/code") as coded, Load(endpoint, clients=2) as networks:
        coded.wait_for(20)
        said = {order: asked(endpoint.inference, order) for order in LOUD}
        coded.wait_for(20)
        networks.wait_for(20)
    healed = eventually(lambda: len(workers(endpoint)) == 2)
    after = asked(endpoint.inference, "fine")

    kept = {prediction.request_id for prediction in read(tmp_path / "endpoint/journal")[0]}
    assert said == LOUD
    assert (coded.failures, networks.failures) == ([], [])
    assert healed
    assert after == (200, "4")
    assert {*coded.acknowledged, "fine"} <= kept
    assert not set(LOUD) & kept, "an answer that nobody gave is recorded"


def test_a_killed_worker_fails_at_most_what_it_held_and_is_replaced(endpoint: Running, tmp_path: Path) -> None:
    before = workers(endpoint)
    with Load(endpoint, clients=4, path="/predictions/code") as load:
        load.wait_for(50)
        os.kill(before[0], signal.SIGKILL)
        healed = eventually(lambda: len(set(workers(endpoint)) - {before[0]}) == 2)
        load.wait_for(50)

    kept = {prediction.request_id for prediction in read(tmp_path / "endpoint/journal")[0]}
    assert healed
    assert before[1] in workers(endpoint)
    assert [failure for _, failure in load.failures if "Worker died." not in failure] == []
    assert len(load.failures) <= 1, "a batch is tried once more, one by one, but not a request that was alone"
    assert set(load.acknowledged) <= kept
    assert endpoint.inference.post("/predictions/digits", content=digit(1)).status_code == 200


ONCE = """
open({mark!r}, "x").close()

def handle(data, context):
    return data and ["yes"] * len(data)
"""


def test_a_version_is_registered_once_all_its_workers_are_ready_or_not_at_all(endpoint: Running, tmp_path: Path) -> None:
    code = ONCE.format(mark=str(tmp_path / "mark"))
    packed(endpoint.home.models / "once.mar", {"handler.py": code}, {"modelName": "once", "handler": "handler.py"})

    second_cannot = endpoint.management.post("/models?url=once.mar&initial_workers=2", timeout=60)
    described = endpoint.management.get("/models/once").status_code
    (tmp_path / "mark").unlink()
    alone = endpoint.management.post("/models?url=once.mar&initial_workers=1", timeout=60)

    assert second_cannot.status_code == 500
    assert "FileExistsError" in second_cannot.json()["message"]
    assert (described, alone.status_code) == (404, 200)
    assert len(workers(endpoint)) == 2, "both of the other model were ready when its registration was answered"
