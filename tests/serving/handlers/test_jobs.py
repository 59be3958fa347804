"""The queue of one version, apart from its workers."""

import asyncio

import pytest

from demlopment.serving.calls import Call, Field, RecalledError, Reply
from demlopment.serving.handlers.jobs import Job, Waiting


class Unprintable(str):
    """An id that says when somebody prints its request."""

    def __repr__(self) -> str:
        raise AssertionError("printed")


def test_forgetting_a_job_that_was_taken_prints_nothing_of_it() -> None:
    async def scenario() -> tuple[list[Job], Job]:
        waiting, job = Waiting(), Job(Call(Unprintable("1"), {}, ()))
        await waiting.add(job)
        taken = await waiting.take(1, 0.0)
        waiting.discard(job)
        return taken, job

    taken, job = asyncio.run(scenario())

    assert [each is job for each in taken] == [True]


def test_a_job_that_still_waits_is_forgotten() -> None:
    async def scenario() -> int:
        waiting, job = Waiting(), Job(Call("1", {}, ()))
        await waiting.add(job)
        waiting.discard(job)
        return len(waiting)

    left = asyncio.run(scenario())

    assert left == 0


def test_a_print_of_a_request_or_a_reply_leaves_its_bytes_out() -> None:
    call, reply = Call("1", {}, (Field("body", b"secret"),)), Reply(200, "", (), b"secret")

    printed = f"{call} {reply}"

    assert "secret" not in printed
    assert "body" in printed


def test_a_job_that_is_recalled_leaves_the_queue_and_one_that_was_taken_when_it_comes_back() -> None:
    async def scenario() -> None:
        waiting, jobs = Waiting(), [Job(Call(str(number), {}, ())) for number in range(3)]
        for job in jobs:
            await waiting.add(job)
        taken = await waiting.take(1, 0.0)
        for job in jobs[:2]:
            waiting.recall(job)
        assert [job.wanted for job in jobs] == [True, False, True], "a worker has the first, so it may still answer"

        await waiting.put_back(taken)

        assert await waiting.take(3, 0.0) == [jobs[2]]
        for job in jobs[:2]:
            with pytest.raises(RecalledError):
                job.answer.result()

    asyncio.run(scenario())
