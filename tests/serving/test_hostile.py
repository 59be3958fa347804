"""Ten thousand broken bodies and a thousand changes under load: nobody but the sender notices."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from urllib.parse import quote_from_bytes, urlsplit

import httpx2
import numpy as np

from demlopment.serving import read
from tests.serving.endpoint import Load, digit, eventually, free_ports, registered, running

BODIES = 10_000
CLIENTS = 32
FORM = b'--b\r\nContent-Disposition: form-data; name="data"; filename="a.png"\r\n\r\n' + digit(1) + b"\r\n--b--\r\n"
WHOLE = (  # path, content type, body
    ("/predictions/digits", "image/png", digit(1)),
    ("/predictions/digits/1.0", "multipart/form-data; boundary=b", FORM),
    ("/predictions/digits", "application/x-www-form-urlencoded", b"data=" + quote_from_bytes(digit(3)).encode()),
    ("/feedback", "application/json", b'{"request_id": "a", "label": "3"}'),
    ("/predictions/digits", "text/plain; charset=klingon", b"\x89PNG\r\n\x1a\n"),
    ("/feedback", "multipart/form-data", b"\xff\xd8\xff"),
)


def broken_bodies() -> Iterator[tuple[str, str, bytes]]:
    """(path, content type, body): pictures and forms with bytes flipped, cut out, doubled or added, the same every time."""
    rng = np.random.default_rng(3)
    for number in range(BODIES):
        path, kind, whole = WHOLE[number % len(WHOLE)]
        if rng.random() < 0.3:
            path, kind = WHOLE[int(rng.integers(len(WHOLE)))][0], WHOLE[int(rng.integers(len(WHOLE)))][1]
        body = bytearray(whole)
        for _ in range(int(rng.integers(0, 6))):
            at, width = (int(value) for value in rng.integers(0, [len(body) + 1, 40]))
            match rng.integers(4):
                case 0:
                    body[at : at + width] = rng.bytes(width)
                case 1:
                    del body[at : at + width]
                case 2:
                    body[at:at] = body[at : at + width]
                case _:
                    body[at:at] = rng.bytes(width)
        yield path, kind, bytes(body)


async def statuses(address: str) -> Counter[int]:
    """What the inference port answers to every broken body; 0 is no answer."""
    bodies, seen = broken_bodies(), Counter[int]()
    target = urlsplit(address)

    async def client() -> None:
        for path, kind, body in bodies:
            reader, writer = await asyncio.open_connection(target.hostname, target.port)
            head = f"POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            line = await reader.readline()
            seen[int(line.split()[1]) if line else 0] += 1
            writer.close()

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return seen


def test_ten_thousand_broken_bodies_are_the_fault_of_nobody_but_their_sender(tmp_path: Path) -> None:
    registered(tmp_path, "1.0")
    with running(tmp_path) as endpoint:
        before = endpoint.pids()

        seen = asyncio.run(statuses(endpoint.addresses.inference))

        after, sane = endpoint.pids(), endpoint.inference.post("/predictions/digits", content=digit(1)).status_code
    assert sum(seen.values()) == BODIES
    assert all(200 <= status < 500 for status in seen), seen
    assert min(seen[200], seen[400]) > BODIES / 50, "the bodies are neither all whole nor all hopeless"
    assert (after, sane) == (before, 200)


def test_garbage_instead_of_http_ends_only_its_own_connection(tmp_path: Path) -> None:
    registered(tmp_path, "1.0")
    with running(tmp_path, free_ports(processes=1)) as endpoint:
        before = endpoint.pids()

        async def throw(address: str) -> None:
            rng = np.random.default_rng(4)
            target = urlsplit(address)
            for _ in range(300):
                _, writer = await asyncio.open_connection(target.hostname, target.port)
                writer.write(rng.bytes(int(rng.integers(1, 300))))
                writer.close()

        for address in (endpoint.addresses.inference, endpoint.addresses.management, endpoint.addresses.metrics):
            asyncio.run(throw(address))

        answers = [
            endpoint.inference.post("/predictions/digits", content=digit(1)).status_code,
            endpoint.management.get("/models").status_code,
            endpoint.metrics.get("/metrics").status_code,
        ]
        after = endpoint.pids()
    assert (answers, after) == ([200, 200, 200], before)


def test_a_thousand_changes_race_with_traffic_and_no_prediction_fails(tmp_path: Path) -> None:
    registered(tmp_path, "1.0", "2.0")
    plan = {"control": "1.0", "treatments": [{"version": "2.0", "share": 0.5}]}

    def change(http: httpx2.Client, number: int, seen: Counter[int]) -> None:
        for turn in range(250):
            match (turn + number) % 5:
                case 0:
                    answer = http.put(f"/models/digits/{1 + turn % 2}.0/set-default")
                case 1:
                    answer = http.put("/models/digits/2.0?min_worker=2&synchronous=true")
                case 2:
                    answer = http.put("/models/digits/traffic", json=plan)
                case 3:
                    answer = http.delete("/models/digits/traffic")
                case _:
                    answer = http.get("/models/digits/all")
            seen[answer.status_code] += 1

    with running(tmp_path) as endpoint, Load(endpoint, clients=2) as load:
        counts = [Counter[int]() for _ in range(4)]
        threads = [Thread(target=change, args=(endpoint.management, number, seen)) for number, seen in enumerate(counts)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        load.wait_for(20)
        seen = sum(counts, Counter[int]())
        pids = eventually(lambda: len(endpoint.pids()) == 2 * 2)
    kept = {prediction.request_id for prediction in read(tmp_path / "endpoint/journal")[0]}
    assert sum(seen.values()) == 1000
    assert set(seen) <= {200, 404}, "404: the traffic plan was already gone"
    assert load.failures == []
    assert set(load.acknowledged) <= kept
    assert pids
