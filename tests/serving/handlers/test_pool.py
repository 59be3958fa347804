"""Queues and workers under load and under faults: only the requests in hand fail, and the pool answers again."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from demlopment.errors import NotReadyError, RequestError
from demlopment.serving.calls import Call, Field, RecalledError, Reply
from demlopment.serving.handlers import frames
from demlopment.serving.handlers.hall import Hall
from tests.serving.handlers.hosting import KEY, PATIENCE, Hosted, hosted, reached, running, until, written

# `wait:NAME` blocks until the test has made the file NAME, so that a batch is in hand for as long as a test needs.
HANDLER = """
import os, threading, time

def one(order, size):
    if order == "die":
        os._exit(7)
    if order == "raise":
        raise ValueError("this one")
    if order == "hang":
        threading.Event().wait()
    if order == "leak":
        return bytearray(10 ** 12)
    if order == "large":
        return "x" * 200_000
    if order.startswith("wait:"):
        while not os.path.exists(order[5:]):
            time.sleep(0.002)
    return {"order": order, "size": size, "pid": os.getpid()}

def handle(data, context):
    if data is None:
        return
    print("took", [row["body"] for row in data], flush=True)
    return [one(row["body"], len(data)) for row in data]
"""
WORKER_DIED = (500, "InternalServerException", "Worker died.")


async def outcome(served: Hosted, order: str) -> dict[str, Any] | tuple[int, str, str] | Reply:
    """What a handler said, the status and words of a refusal, or a reply that no handler gave."""
    try:
        reply = await served.ask(order, "text/plain")
    except RequestError as refusal:
        return refusal.status, refusal.kind, str(refusal)
    if reply.status != 200:
        return reply
    said: dict[str, Any] = json.loads(reply.body)
    return said


async def together(served: Hosted, orders: Sequence[str], root: Path) -> list[Any]:
    """What becomes of `orders` that all wait while the only worker is busy, and so are one batch."""
    gate = root / "gate"
    first = asyncio.create_task(outcome(served, f"wait:{gate}"))
    await until(lambda: any("took" in line for line in served.told))
    tasks = [asyncio.create_task(outcome(served, order)) for order in orders]
    await until(lambda: served.hall.queue(served.spec.key)[1] == len(orders))
    gate.touch()
    return (await asyncio.gather(first, *tasks))[1:]


def test_what_waits_while_a_worker_is_busy_is_one_batch(tmp_path: Path) -> None:
    async def run() -> list[Any]:
        async with hosted(tmp_path, HANDLER, batch_size=4, max_batch_delay=60_000) as served:
            return await together(served, "abcdef", tmp_path)

    said = asyncio.run(run())

    assert [each["order"] for each in said] == list("abcdef")
    assert [each["size"] for each in said] == [4, 4, 4, 4, 2, 2], "and the rest did not wait for more"


def test_by_the_letter_a_lone_request_waits_for_a_batch(tmp_path: Path) -> None:
    async def run() -> list[Any]:
        async with hosted(tmp_path, HANDLER, batch_size=3, max_batch_delay=600_000, strict=True) as served:
            lone = asyncio.create_task(outcome(served, "a"))
            await until(lambda: served.hall.queue(KEY)[1] == 1)
            others = [asyncio.create_task(outcome(served, order)) for order in "bc"]
            return list(await asyncio.gather(lone, *others))

    assert [each["size"] for each in asyncio.run(run())] == [3, 3, 3]


def test_one_bad_request_does_not_fail_its_batch(tmp_path: Path) -> None:
    async def run() -> list[Any]:
        async with hosted(tmp_path, HANDLER, batch_size=4) as served:
            return await together(served, ["a", "raise", "b"], tmp_path)

    a, bad, b = asyncio.run(run())

    assert (a["order"], a["size"], b["order"], b["size"]) == ("a", 1, "b", 1)
    assert bad == (503, "InternalServerException", "Prediction failed")


def test_by_the_letter_one_bad_request_fails_its_batch(tmp_path: Path) -> None:
    async def run() -> list[Any]:
        async with hosted(tmp_path, HANDLER, batch_size=4, max_batch_delay=0, strict=True) as served:
            return await together(served, ["a", "raise", "b"], tmp_path)

    assert asyncio.run(run()) == [(503, "InternalServerException", "Prediction failed")] * 3


def test_a_request_that_kills_its_worker_fails_alone(tmp_path: Path) -> None:
    async def run() -> tuple[list[Any], dict[Any, float]]:
        async with hosted(tmp_path, HANDLER, batch_size=4) as served:
            said = await together(served, ["a", "die", "b", "c", "d"], tmp_path)
            return said, served.hall.collect().counters

    (a, bad, *others), counters = asyncio.run(run())

    assert bad == WORKER_DIED
    assert [each["order"] for each in (a, *others)] == ["a", "b", "c", "d"]
    assert counters["demlopment_worker_restarts_total", *KEY] == 2, "with its batch, then alone"


def test_by_the_letter_a_dead_worker_fails_its_whole_batch_and_no_more(tmp_path: Path) -> None:
    async def run() -> list[Any]:
        async with hosted(tmp_path, HANDLER, batch_size=2, max_batch_delay=0, strict=True) as served:
            return await together(served, ["a", "die", "b", "c"], tmp_path)

    a, bad, b, c = asyncio.run(run())

    assert a == bad == WORKER_DIED
    assert (b["order"], c["order"]) == ("b", "c")


def test_a_hanging_handler_is_ended_and_its_successor_answers(tmp_path: Path) -> None:
    async def run() -> tuple[Any, Any, list[str]]:
        async with hosted(tmp_path, HANDLER, response_timeout=1) as served:
            before = served.pids()
            late = await outcome(served, "hang")
            after = await outcome(served, "a")
            assert not any(map(running, before))
            return late, after, served.told

    late, after, told = asyncio.run(run())

    assert late == WORKER_DIED
    assert after["order"] == "a"
    assert any("did not answer within 1 s" in line for line in told)


def test_a_request_that_hangs_fails_alone(tmp_path: Path) -> None:
    async def run() -> list[Any]:
        async with hosted(tmp_path, HANDLER, batch_size=4, response_timeout=1) as served:
            return await together(served, ["a", "hang", "b"], tmp_path)

    a, bad, b = asyncio.run(run())

    assert bad == WORKER_DIED
    assert (a["order"], b["order"]) == ("a", "b")


def test_a_worker_without_memory_says_so_and_is_replaced(tmp_path: Path) -> None:
    async def run() -> tuple[list[int], Any, Any]:
        async with hosted(tmp_path, HANDLER, memory_mb=1024) as served:
            before = served.pids()
            return before, await outcome(served, "leak"), await outcome(served, "a")

    before, leak, after = asyncio.run(run())

    assert leak == (507, "InternalServerException", "Out of resources")
    assert after["pid"] not in before


def test_a_response_that_is_too_long_ends_its_worker(tmp_path: Path) -> None:
    async def run() -> list[Any]:
        async with hosted(tmp_path, HANDLER, max_response_bytes=100_000) as served:
            return [await outcome(served, "large"), await outcome(served, "a")]

    large, after = asyncio.run(run())

    assert large == WORKER_DIED
    assert after["order"] == "a"


def test_a_killed_worker_loses_the_request_in_its_hand_and_no_other(tmp_path: Path) -> None:
    async def run() -> list[Any]:
        async with hosted(tmp_path, HANDLER) as served:
            in_hand = asyncio.create_task(outcome(served, "hang"))
            await until(lambda: any("took" in line for line in served.told))
            waiting = [asyncio.create_task(outcome(served, order)) for order in "abc"]
            await until(lambda: served.hall.queue(KEY)[1] == 3)
            os.kill(served.pids()[0], signal.SIGKILL)
            return list(await asyncio.gather(in_hand, *waiting))

    in_hand, *waiting = asyncio.run(run())

    assert in_hand == WORKER_DIED
    assert [each["order"] for each in waiting] == ["a", "b", "c"]


def test_a_worker_that_is_killed_while_idle_is_replaced_without_a_request(tmp_path: Path) -> None:
    async def run() -> Any:
        async with hosted(tmp_path, HANDLER, min_workers=2, max_workers=2) as served:
            before = served.pids()
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            await until(lambda: served.ready() and not set(served.pids()) & set(before))
            return await outcome(served, "a")

    assert asyncio.run(run())["order"] == "a"


def test_a_full_queue_says_so_and_when_to_come_back(tmp_path: Path) -> None:
    async def run(**options: Any) -> Any:
        root = tmp_path / str(len(options))
        async with hosted(root, HANDLER, queue_size=2, **options) as served:
            in_hand = asyncio.create_task(outcome(served, f"wait:{root / 'gate'}"))
            await until(lambda: any("took" in line for line in served.told))
            waiting = [asyncio.create_task(outcome(served, order)) for order in "ab"]
            await until(lambda: served.hall.queue(KEY) == (0, 2))
            refused = await outcome(served, "c")
            (root / "gate").touch()
            for each in await asyncio.gather(in_hand, *waiting):
                assert isinstance(each, dict)
            return refused

    full = asyncio.run(run())
    letter = asyncio.run(run(strict=True, max_batch_delay=0))

    assert full.status == 503
    assert json.loads(full.body) == {
        "code": 503,
        "type": "ServiceUnavailableException",
        "message": 'The job queue of model "echo" version 1.0 is full: 2 requests wait.',
    }
    assert int(dict(full.headers)["retry-after"]) >= 1
    assert letter[:2] == (503, "ServiceUnavailableException")
    assert letter[2].startswith('Model "echo" has no worker to serve inference request. Please use scale workers API')


def test_a_version_that_nobody_serves_has_no_worker(tmp_path: Path) -> None:
    async def run() -> tuple[str, str]:
        hall = Hall(tmp_path, print)
        async with reached(hall) as desk:
            served = Hosted(hall, desk, written(tmp_path, HANDLER))
            refusal = await outcome(served, "a")
            with pytest.raises(RequestError) as undescribed:
                await hall.describe(KEY)
            assert isinstance(refusal, tuple)
            return refusal[2], str(undescribed.value)

    inference, describe = asyncio.run(run())

    assert inference == (
        'Model "echo" has no worker to serve inference request. Please use scale workers API to add workers. If this is a '
        "sequence inference, please check if it is closed, or expired; or exceeds maxSequenceJobQueueSize"
    )
    assert describe == 'Model "echo" has no worker to serve describe request. Please use scale workers API to add workers.'


def test_a_client_that_waits_too_long_is_told(tmp_path: Path) -> None:
    async def run() -> tuple[Any, Any]:
        async with hosted(tmp_path, HANDLER, client_timeout=300) as served:
            late = await outcome(served, f"wait:{tmp_path / 'gate'}")
            (tmp_path / "gate").touch()
            return late, served.hall.queue(KEY)

    late, queue = asyncio.run(run())

    assert late[:2] == (408, "RequestTimeoutException")
    assert queue == (100, 0)


def test_a_client_that_goes_away_takes_its_request_out_of_the_queue(tmp_path: Path) -> None:
    async def run() -> list[str]:
        async with hosted(tmp_path, HANDLER) as served:
            in_hand = asyncio.create_task(outcome(served, f"wait:{tmp_path / 'gate'}"))
            await until(lambda: any("took" in line for line in served.told))
            gone = asyncio.create_task(outcome(served, "gone"))
            await until(lambda: served.hall.queue(KEY)[1] == 1)
            gone.cancel()
            await until(lambda: served.hall.queue(KEY)[1] == 0)
            (tmp_path / "gate").touch()
            await in_hand
            await outcome(served, "last")
            return served.told

    told = asyncio.run(run())

    assert not any("gone" in line for line in told)
    assert any("last" in line for line in told)


def test_a_serving_process_that_dies_drops_its_requests_and_nobody_elses(tmp_path: Path) -> None:
    async def run() -> Any:
        async with hosted(tmp_path, HANDLER) as served:
            mine = asyncio.create_task(outcome(served, f"wait:{tmp_path / 'gate'}"))
            await until(lambda: any("took" in line for line in served.told))
            async with reached(served.hall) as other:
                theirs = asyncio.create_task(outcome(Hosted(served.hall, other, served.spec), "theirs"))
                await until(lambda: served.hall.queue(KEY)[1] == 1)
            with pytest.raises(NotReadyError):
                await theirs
            await until(lambda: served.hall.queue(KEY)[1] == 0)
            (tmp_path / "gate").touch()
            return await mine

    assert asyncio.run(run())["size"] == 1


def test_when_the_supervisor_is_gone_a_serving_process_says_so(tmp_path: Path) -> None:
    async def run() -> None:
        hall = Hall(tmp_path, print)
        async with reached(hall) as desk:
            served = Hosted(hall, desk, written(tmp_path, HANDLER))
            desk.close()
            with pytest.raises(NotReadyError):
                await outcome(served, "a")

    asyncio.run(run())


def test_scaling_adds_workers_and_takes_them_away_after_their_batch(tmp_path: Path) -> None:
    async def run() -> Any:
        async with hosted(tmp_path, HANDLER, min_workers=2, max_workers=2) as served:
            gates = [tmp_path / "one", tmp_path / "two"]
            busy = [asyncio.create_task(outcome(served, f"wait:{gate}")) for gate in gates]
            await until(lambda: sum("took" in line for line in served.told) == 2)
            before = served.pids()
            await served.hall.switch([written(tmp_path, HANDLER)])
            assert len(served.pids()) == 1
            assert all(map(running, before)), "both are busy"
            for gate in gates:
                gate.touch()
            for each in await asyncio.gather(*busy):
                assert isinstance(each, dict)
            await until(lambda: sum(map(running, before)) == 1)
            await served.hall.switch([written(tmp_path, HANDLER, min_workers=3, max_workers=3)])
            assert not await served.hall.settled(KEY)
            return served.pids()

    assert len(set(asyncio.run(run()))) == 3


def test_replacing_a_version_drops_no_request(tmp_path: Path) -> None:
    async def run() -> tuple[list[Any], int]:
        async with hosted(tmp_path, HANDLER) as served:
            stop, said = asyncio.Event(), list[Any]()

            async def load(client: int) -> None:
                while not stop.is_set():
                    said.append(await outcome(served, str(client)))

            loading = [asyncio.create_task(load(client)) for client in range(4)]
            (old,) = served.pids()
            new = written(tmp_path, HANDLER, batch_size=2)
            assert not await served.hall.prepare([new])
            await served.hall.switch([new])
            assert await served.hall.gone(KEY)
            seen = len(said)
            await until(lambda: len(said) > seen + 20)
            stop.set()
            await asyncio.gather(*loading)
            return said, old

    said, old = asyncio.run(run())

    assert all(isinstance(each, dict) for each in said), "no request was refused"
    assert {each["pid"] == old for each in said} == {True, False}
    assert said[-1]["pid"] != old


def test_a_version_that_was_prepared_and_never_wanted_leaves_nothing(tmp_path: Path) -> None:
    async def run() -> Any:
        async with hosted(tmp_path, HANDLER) as served:
            other = written(tmp_path, HANDLER, key=("echo", "2.0"))
            assert not await served.hall.prepare([served.spec, other])
            prepared = await outcome(Hosted(served.hall, served.desk, other), "a")
            assert isinstance(prepared, dict), "what is prepared answers already"
            assert running(prepared["pid"])
            await served.hall.switch([served.spec])
            assert not running(prepared["pid"])
            return await outcome(served, "b")

    assert asyncio.run(run())["order"] == "b"


def test_a_handler_that_never_loads_is_tried_again_and_then_given_up(tmp_path: Path) -> None:
    async def run() -> tuple[dict[Any, str], Any]:
        hall = Hall(tmp_path / "handlers", lambda _: None)
        spec = written(tmp_path, f"open({str(tmp_path / 'missing')!r})", retry_timeout=0)
        await hall.switch([spec])
        async with reached(hall) as desk:
            served = Hosted(hall, desk, spec)
            waiting = asyncio.create_task(outcome(served, "a"))
            await until(lambda: bool(hall.failed))
            refused = await waiting
        failed = hall.failed
        await hall.drain()
        return failed, refused

    failed, refused = asyncio.run(run())

    assert failed[KEY].startswith("FileNotFoundError")
    assert refused[:2] == (503, "ServiceUnavailableException")


def test_a_handler_that_loads_at_the_second_attempt_answers_what_waited(tmp_path: Path) -> None:
    code = (
        f"""
import os
if not os.path.exists({str(tmp_path / "tried")!r}):
    open({str(tmp_path / "tried")!r}, "w").close()
    raise OSError("not yet")
"""
        + HANDLER
    )

    async def run() -> Any:
        hall = Hall(tmp_path / "handlers", lambda _: None)
        spec = written(tmp_path, code)
        await hall.switch([spec])
        async with reached(hall) as desk:
            said = await outcome(Hosted(hall, desk, spec), "a")
        await hall.drain()
        return said

    assert asyncio.run(run())["order"] == "a"


def test_a_drain_answers_what_was_asked_and_ends_every_process(tmp_path: Path) -> None:
    async def run() -> tuple[list[Any], list[int]]:
        async with hosted(tmp_path, HANDLER) as served:
            gate = tmp_path / "gate"
            asked = [asyncio.create_task(outcome(served, order)) for order in (f"wait:{gate}", "a", "b")]
            await until(lambda: served.hall.queue(KEY)[1] == 2)
            pids = served.pids()
            draining = asyncio.create_task(served.hall.drain())
            await until(lambda: not served.hall.workers(KEY))
            gate.touch()
            await draining
            return await asyncio.gather(*asked), pids

    said, pids = asyncio.run(run())

    assert [each["order"] for each in said[1:]] == ["a", "b"]
    assert pids
    assert not any(map(running, pids))


def test_a_drain_ends_in_time_when_a_handler_hangs(tmp_path: Path) -> None:
    async def run() -> tuple[Any, list[int]]:
        spec, told = written(tmp_path, HANDLER), list[str]()
        hall = Hall(tmp_path / "handlers", told.append, drain_seconds=0.5)
        assert not await hall.prepare([spec])
        await hall.switch([spec])
        async with reached(hall) as desk:
            hanging = asyncio.create_task(outcome(Hosted(hall, desk, spec), "hang"))
            await until(lambda: any("took" in line for line in told))
            pids = [worker.pid for worker in hall.workers(KEY)]
            await hall.switch([])
            assert not await hall.gone(KEY)
            return await hanging, pids

    refused, pids = asyncio.run(run())

    assert refused == WORKER_DIED
    assert not any(map(running, pids))


SUPERVISOR = """
import asyncio, sys
from pathlib import Path
from tests.serving.handlers.hosting import Hosted, reached, written
from demlopment.serving.handlers import frames
from demlopment.serving.handlers.hall import Hall

async def main():
    root = Path(sys.argv[1])
    hall, spec = Hall(root / "handlers", lambda line: print(line, flush=True)), written(root, sys.argv[2])
    await hall.prepare([spec])
    await hall.switch([spec])
    print("pid", hall.workers(spec.key)[0].pid, flush=True)
    async with reached(hall) as desk:
        await Hosted(hall, desk, spec).ask("hang", "text/plain")

asyncio.run(main())
"""


def test_workers_end_with_a_supervisor_that_is_killed_even_in_a_hanging_handler(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SUPERVISOR, str(tmp_path), HANDLER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        said = [supervisor.stdout.readline(), supervisor.stdout.readline()]
        supervisor.kill()

    assert "took ['hang']" in said[1], "the handler hangs already"
    worker = int(said[0].split()[1])

    async def ended() -> None:
        await until(lambda: not running(worker))

    asyncio.run(asyncio.wait_for(ended(), PATIENCE))
    Hall(tmp_path / "handlers", print)

    assert not (tmp_path / "handlers" / "work").exists(), "the next start removes the dead worker's folder"


def test_a_call_that_is_over_comes_back_unless_a_worker_has_it(tmp_path: Path) -> None:
    async def run() -> list[Any]:
        gate, over = tmp_path / "gate", asyncio.Event()

        def call(order: str, over: asyncio.Event | None) -> Call:
            return Call("id", {}, (Field("body", order.encode(), "text/plain"),), over=over)

        async with hosted(tmp_path, HANDLER) as served:
            begun = asyncio.create_task(served.call(call(f"wait:{gate}", over)))
            await until(lambda: any("took" in line for line in served.told))
            wanted = [asyncio.create_task(served.call(call("a", each))) for each in (over, None, over)]
            await until(lambda: served.hall.queue(KEY)[1] == 3)
            over.set()
            await until(lambda: served.hall.queue(KEY)[1] == 1)
            gate.touch()
            return await asyncio.gather(begun, *wanted, return_exceptions=True)

    begun, first, kept, last = asyncio.run(run())

    assert begun.status == kept.status == 200
    assert isinstance(first, RecalledError)
    assert isinstance(last, RecalledError)


def test_a_call_that_is_over_at_once_comes_back_too(tmp_path: Path) -> None:
    async def run() -> dict[str, Any]:
        gate, number = tmp_path / "gate", 7
        header = {"number": number, "model": KEY[0], "version": KEY[1], "id": "id", "asked": "default", "spare": True}
        call = header | {"headers": {}, "fields": [("body", "text/plain")]}
        async with hosted(tmp_path, HANDLER) as served:
            begun = asyncio.create_task(served.call(Call("id", {}, (Field("body", f"wait:{gate}".encode(), "text/plain"),))))
            await until(lambda: any("took" in line for line in served.told))
            ours, theirs = socket.socketpair()
            for each in (*frames.packed(call, [b"a"]), *frames.packed({"number": number, "recall": True})):
                ours.sendall(each)
            attending = asyncio.create_task(served.hall.attend(theirs))
            line = await frames.Line.open(ours)
            opening = asyncio.get_running_loop().call_later(3, gate.touch)
            frame = await line.receive()
            opening.cancel()
            gate.touch()
            line.close()
            await asyncio.gather(begun, attending)
        assert frame is not None
        return dict(frame.header)

    assert asyncio.run(run()) == {"number": 7, "recalled": "over"}
