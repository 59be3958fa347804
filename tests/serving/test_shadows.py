"""A shadow sees what clients asked, after they have their answer, and nothing that becomes of it reaches them."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from demlopment.records import Arm, Prediction
from demlopment.serving import read, shadows
from demlopment.serving.batching import Batching
from demlopment.serving.engine import Route
from demlopment.serving.journal import Journal
from demlopment.serving.recorded import found_in
from demlopment.serving.shadows import DROPPED, FAILED, Shadows
from demlopment.serving.tally import Tally
from tests.serving.endpoint import CLASSES, Running, digit, eventually, expected, registered, running
from tests.serving.test_batching import Picky, network
from tests.serving.test_journal import full_disk, prediction


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "journal", name="x")
    yield made
    made.close()


def told(tmp_path: Path, number: int) -> list[Prediction]:
    """What clients were told about that many pictures."""
    chosen, _ = network(tmp_path)
    image = np.frombuffer(bytes(784), np.uint8).reshape(28, 28)
    return [prediction(f"r{each}")._replace(version=chosen.version, image=image) for each in range(number)]


def counted(tally: Tally, name: str, *labels: str) -> float:
    return float(tally.counters.get((name, *labels), 0))


async def answered(batching: Batching, routes: list[Route]) -> list[Prediction]:
    """The answers to as many pictures, once the shadows have nothing left to do."""
    asked = (batching.predict(route, f"r{place}", digit(place)) for place, route in enumerate(routes))
    answers = await asyncio.gather(*asked)
    while batching.shadows._waiting:
        await asyncio.sleep(shadows.PAUSE)
    return answers


@pytest.mark.parametrize("arm", ["control", "treatment"])
def test_a_shadow_answers_what_clients_were_told_and_is_journalled_apart(tmp_path: Path, journal: Journal, arm: Arm) -> None:
    (chosen, _), (shadow, sizes) = network(tmp_path, "1.0"), network(tmp_path, "2.0")
    batching = Batching(journal, Tally(), max_batch=4)
    routes = [Route(chosen, arm, "ada", "default", shadows=(shadow,))] * 10

    answers = asyncio.run(answered(batching, routes))

    found = found_in(tmp_path / "journal")
    assert [each.version for each in answers] == ["1.0"] * 10
    assert [(each.request_id, each.arm) for each in found.predictions] == [(f"r{place}", arm) for place in range(10)]
    assert [each.arm for each in read(tmp_path / "journal")[0]] == [arm] * 10
    assert sizes.sizes == [10], "a batch of their own: the requests were answered in three"
    for place, each in enumerate(found.shadows):
        assert (each.request_id, each.arm, each.version, each.unit) == (f"r{place}", "shadow", "2.0", "ada")
        assert (each.image, each.digest) == (None, found.predictions[place].digest)
        np.testing.assert_allclose(each.probabilities, expected(digit(place), "2.0"), atol=1e-5)
        assert each.label == CLASSES[each.probabilities.argmax()]
    assert len(found.shadows) == 10


def test_clients_have_their_answers_before_a_shadow_is_asked(tmp_path: Path, journal: Journal) -> None:
    (chosen, _), (shadow, sizes) = network(tmp_path, "1.0"), network(tmp_path, "2.0")
    batching = Batching(journal, Tally(), max_batch=64)

    async def asked() -> tuple[int, int]:
        await batching.predict(Route(chosen, "control", "u", "default", shadows=(shadow,)), "r", digit(1))
        before = len(sizes.sizes)
        batching.shadows.finish()
        return before, len(sizes.sizes)

    assert asyncio.run(asked()) == (0, 1)


def test_shadows_have_a_share_of_the_time_and_no_more(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    shadow, sizes = network(tmp_path, "2.0")
    some, ticks, planned = Shadows(journal, Tally()), count(), list[float]()
    # A second passes between any two looks at the clock.
    monkeypatch.setattr(shadows, "time", SimpleNamespace(perf_counter=lambda: float(next(ticks))))

    async def asked() -> None:
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "call_later", lambda delay, _: planned.append(delay))
        for each in told(tmp_path, 3 * shadows.BATCH):
            some.ask((shadow,), each)
        for _ in range(3):
            some._turn()

    asyncio.run(asked())

    took = 3  # looks at the clock from the beginning of a turn to its end
    assert (planned, sizes.sizes) == ([shadows.PAUSE, *[took * (1 / shadows.SHARE - 1)] * 2], [shadows.BATCH] * 3)


def test_many_that_wait_are_asked_together_and_two_shadows_apart(tmp_path: Path, journal: Journal) -> None:
    (one, sizes), (two, others) = network(tmp_path, "2.0"), network(tmp_path, "3.0")
    some = Shadows(journal, Tally())

    async def asked() -> None:
        for each in told(tmp_path, 40):
            some.ask((one, two), each)
        while some._waiting:
            await asyncio.sleep(0)

    asyncio.run(asked())

    assert (max(sizes.sizes), sum(sizes.sizes), sum(others.sizes)) == (shadows.BATCH, 40, 40)
    found = found_in(tmp_path / "journal").shadows
    assert {(each.version, each.request_id) for each in found} == {
        (v, f"r{place}") for v in ("2.0", "3.0") for place in range(40)
    }


def test_what_a_shadow_would_be_too_late_for_is_dropped_and_counted(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadows, "MOST", 5)
    shadow, _ = network(tmp_path, "2.0")
    tally = Tally()
    full = Shadows(journal, tally)

    async def asked() -> None:
        for each in told(tmp_path, 8):
            full.ask((shadow,), each)
        full.finish()

    asyncio.run(asked())

    assert [each.request_id for each in found_in(tmp_path / "journal").shadows] == [f"r{place}" for place in range(5)]
    assert counted(tally, DROPPED, "digits", "2.0") == 3
    assert counted(tally, "demlopment_predictions_total", "digits", "2.0", "shadow") == 5


def test_a_shadow_that_fails_is_counted_said_once_and_harms_no_other(
    tmp_path: Path, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    (chosen, _), (sound, _) = network(tmp_path, "1.0"), network(tmp_path, "2.0")
    broken = replace(chosen, version="9.0", session=Picky(chosen.session))
    tally = Tally()
    some = Shadows(journal, tally)

    async def asked() -> None:
        for each in told(tmp_path, 3):  # blank pictures, on which it fails
            some.ask((broken, sound), each)
            some.finish()

    asyncio.run(asked())

    assert counted(tally, FAILED, "digits", "9.0") == 3
    assert {each.version for each in found_in(tmp_path / "journal").shadows} == {"2.0"}
    assert len(caplog.records) == 1


def test_a_full_disk_drops_shadows_and_is_no_gap(tmp_path: Path) -> None:
    serves = Journal(tmp_path / "journal", name="x", full="serve")
    shadow, _ = network(tmp_path, "2.0")
    tally = Tally()
    some = Shadows(serves, tally)

    async def asked() -> None:
        with full_disk(serves):
            for each in told(tmp_path, 3):
                some.ask((shadow,), each)
            some.finish()
            some.ask((shadow,), told(tmp_path, 1)[0])  # known by now

    asyncio.run(asked())
    serves.probe()
    serves.close()

    found = found_in(tmp_path / "journal")
    assert (found.shadows, found.gaps) == ([], [])
    assert counted(tally, DROPPED, "digits", "2.0") == 4


@pytest.fixture
def shadowed(endpoint: Running) -> Iterator[Running]:
    plan = {"control": "1.0", "shadows": ["2.0"], "salt": "shadowed"}
    answer = endpoint.management.put("/models/digits/traffic", json=plan)
    assert answer.status_code == 200, answer.text
    yield endpoint
    endpoint.management.delete("/models/digits/traffic")


def test_over_http_nobody_hears_of_a_shadow_and_the_metrics_count_it(shadowed: Running) -> None:
    ids = [f"shadowed-{place}" for place in range(30)]
    folder = shadowed.home.endpoint / "journal"

    answers = [
        shadowed.inference.post("/predictions/digits", content=digit(place), headers={"x-request-id": each})
        for place, each in enumerate(ids)
    ]
    direct = shadowed.inference.post("/predictions/digits/1.0", content=digit(1), headers={"x-request-id": "direct-0"})

    assert {(each.headers["x-arm"], each.headers["x-model-version"]) for each in answers} == {("control", "1.0")}
    assert direct.headers["x-arm"] == "direct"
    assert eventually(lambda: {each.request_id for each in found_in(folder).shadows}.issuperset(ids))
    found = found_in(folder).shadows
    assert {each.version for each in found} == {"2.0"}
    assert "direct-0" not in {each.request_id for each in found}
    page = shadowed.metrics.get("/metrics").text
    line = next(each for each in page.splitlines() if "demlopment_predictions_total{" in each and 'arm="shadow"' in each)
    assert float(line.split()[-1]) >= 30


def test_a_process_that_stops_asks_its_shadows_first(tmp_path: Path) -> None:
    registered(tmp_path, "1.0", "2.0")
    with running(tmp_path) as endpoint:
        endpoint.management.put("/models/digits/traffic", json={"control": "1.0", "shadows": ["2.0"]})
        for place in range(5):
            endpoint.inference.post("/predictions/digits", content=digit(place), headers={"x-request-id": f"r{place}"})

    found = found_in(tmp_path / "endpoint" / "journal")
    assert {each.request_id for each in found.shadows} == {f"r{place}" for place in range(5)}


def test_a_version_that_is_a_shadow_stays_until_the_plan_ends(shadowed: Running) -> None:
    answer = shadowed.management.delete("/models/digits/2.0")

    assert (answer.status_code, "traffic plan" in answer.json()["message"]) == (409, True)


def test_a_shadow_that_nobody_registered_is_refused(endpoint: Running) -> None:
    answer = endpoint.management.put("/models/digits/traffic", json={"control": "1.0", "shadows": ["9.9"]})

    assert answer.status_code == 404


def test_without_a_plan_nothing_is_asked_again(tmp_path: Path, journal: Journal) -> None:
    chosen, _ = network(tmp_path)

    asyncio.run(answered(Batching(journal, Tally(), max_batch=4), [Route(chosen, "direct", "u", "default")]))

    assert found_in(tmp_path / "journal").shadows == []
