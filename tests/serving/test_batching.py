import asyncio
import hashlib
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from demlopment import images
from demlopment.errors import ArchiveError, DemlopmentError, NotReadyError, RequestError
from demlopment.records import Prediction
from demlopment.serving import read
from demlopment.serving.batching import Batching
from demlopment.serving.engine import Engine, Network, Route, load, softmax
from demlopment.serving.journal import Journal
from demlopment.serving.slot import Slot
from demlopment.serving.state import State, Version
from demlopment.serving.tally import Tally
from demlopment.serving.units import Asker
from tests.serving.endpoint import CLASSES, digit, expected, onnx_network, packed
from tests.serving.test_journal import full_disk


class Watched:
    """A session that notes the size of each batch before it runs it."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.sizes: list[int] = []

    def run(self, names: list[str], feed: dict[str, Any]) -> Any:
        self.sizes.append(len(feed["image"]))
        return self._session.run(names, feed)


class Picky:
    """A session that fails on a batch with a blank picture in it, or answers that picture with no number."""

    def __init__(self, session: Any, *, quietly: bool = False) -> None:
        self._session, self._quietly = session, quietly

    def run(self, names: list[str], feed: dict[str, Any]) -> Any:
        blank = ~feed["image"].any(axis=(1, 2, 3))
        if blank.any() and not self._quietly:
            raise ZeroDivisionError
        logits, embedding = self._session.run(names, feed)
        return np.where(blank[:, None], np.float32("nan"), logits), embedding


def network(tmp_path: Path, version: str = "1.0") -> tuple[Network, Watched]:
    file = packed(tmp_path / "models", version).name
    loaded = load(tmp_path / "models", ("digits", version), Version(file, file, 1, 1))
    watched = Watched(loaded.session)
    return replace(loaded, session=watched), watched


async def asked_together(batching: Batching, routes: list[Route], pictures: list[bytes]) -> list[Prediction | BaseException]:
    asked = (batching.predict(route, f"r{n}", each) for n, (route, each) in enumerate(zip(routes, pictures, strict=True)))
    return await asyncio.gather(*asked, return_exceptions=True)


def test_what_waits_together_is_inferred_and_journalled_together_and_fails_alone(tmp_path: Path) -> None:
    chosen, watched = network(tmp_path)
    journal = Journal(tmp_path / "journal", name="x")
    batching = Batching(journal, Tally(), max_batch=4, now=lambda: 123.0)
    pictures = [digit(seed) if seed != 3 else b"no picture" for seed in range(10)]

    answers = asyncio.run(asked_together(batching, [Route(chosen, "direct", "ada", "default")] * 10, pictures))
    journal.close()

    kept, _ = read(tmp_path / "journal")
    assert watched.sizes == [3, 4, 2], "ten requests in batches of four, one of which holds an unreadable picture"
    assert isinstance(answers[3], RequestError)
    assert [each.request_id for each in kept] == [f"r{seed}" for seed in range(10) if seed != 3]
    for seed, answer in enumerate(answers):
        if seed != 3:
            assert isinstance(answer, Prediction)
            assert answer.at == 123.0
            np.testing.assert_allclose(answer.probabilities, expected(pictures[seed], "1.0"), atol=1e-5)
            assert answer.label == CLASSES[answer.probabilities.argmax()]


def test_two_versions_are_never_mixed_in_one_batch(tmp_path: Path) -> None:
    (one, watched_one), (two, watched_two) = network(tmp_path, "1.0"), network(tmp_path, "2.0")
    batching = Batching(Journal(tmp_path / "journal", name="x"), Tally(), max_batch=64)
    routes = [Route(one, "control", "u", "default"), Route(two, "treatment", "u", "default")] * 5

    answers = asyncio.run(asked_together(batching, routes, [digit(seed) for seed in range(10)]))

    assert (watched_one.sizes, watched_two.sizes) == ([5], [5])
    assert [answer.version for answer in answers if isinstance(answer, Prediction)] == ["1.0", "2.0"] * 5
    batching.journal.close()


def test_the_time_of_a_network_is_its_own_and_what_others_took_was_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]  # seconds, which pass in the networks alone

    class Timed(Watched):
        def __init__(self, session: Any, seconds: float) -> None:
            super().__init__(session)
            self._seconds = seconds

        def run(self, names: list[str], feed: dict[str, Any]) -> Any:
            clock[0] += self._seconds
            return super().run(names, feed)

    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    chosen, _ = network(tmp_path)
    tally = Tally()
    batching = Batching(Journal(tmp_path / "journal", name="x"), tally, max_batch=64)
    both = [replace(chosen, model=f"{took} s", session=Timed(chosen.session, took)) for took in (8, 1)]

    routes = [Route(each, "direct", "u", "default") for each in (*both, *both)]
    asyncio.run(asked_together(batching, routes, [digit(seed) for seed in range(4)]))
    batching.journal.close()

    milliseconds = {series: value for series, (value, _) in tally.gauges.items()}
    assert [milliseconds["HandlerTime", each.model, "Model"] for each in both] == [8000, 1000]
    assert milliseconds["QueueTime", "Host"] == 8000  # of the last one
    assert milliseconds["WorkerThreadTime", "Host"] == 0
    queued = [tally.counters["ts_queue_latency_microseconds", each.model, "default"] for each in both]
    assert queued == [2 * 1e6, 2 * 8e6]  # each of two waits for the other network, before its answer or for it


def test_a_lone_request_is_answered_in_the_next_round_of_the_loop(tmp_path: Path) -> None:
    chosen, _ = network(tmp_path)
    batching = Batching(Journal(tmp_path / "journal", name="x"), Tally(), max_batch=64)

    async def rounds() -> int:
        task = asyncio.create_task(batching.predict(Route(chosen, "direct", "u", "default"), "r", digit(1)))
        count = 0
        while not task.done():
            await asyncio.sleep(0)  # exactly one round of the event loop
            count += 1
        return count

    assert asyncio.run(rounds()) <= 3
    batching.journal.close()


@pytest.mark.parametrize("quietly", [False, True])
def test_a_picture_that_a_network_fails_on_fails_alone_and_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, quietly: bool
) -> None:
    chosen, _ = network(tmp_path)
    journal = Journal(tmp_path / "journal", name="x")
    batching = Batching(journal, Tally(), max_batch=64)
    picky = Route(replace(chosen, version="picky", session=Picky(chosen.session, quietly=quietly)), "direct", "u", "default")
    sound = Route(chosen, "direct", "u", "default")
    blank = images.encode_png(np.zeros((28, 28), np.uint8))

    answers = asyncio.run(
        asked_together(batching, [picky, picky, picky, picky, sound], [digit(1), blank, digit(2), blank, digit(1)])
    )
    journal.close()

    assert [isinstance(answer, Prediction) for answer in answers] == [True, False, True, False, True]
    assert [str(answer) for answer in answers if not isinstance(answer, Prediction)] == ["Prediction failed"] * 2
    assert [each.request_id for each in read(tmp_path / "journal")[0]] == ["r0", "r2", "r4"]
    assert len(caplog.records) == 1


class Cut:
    """A session that answers no more than two rows, or with one embedding for all."""

    def __init__(self, session: Any, *, embeddings: bool) -> None:
        self._session, self._embeddings = session, embeddings

    def run(self, names: list[str], feed: dict[str, Any]) -> Any:
        logits, embedding = self._session.run(names, feed)
        return (logits, embedding[:1]) if self._embeddings else (logits[:2], embedding)


@pytest.mark.parametrize("embeddings", [True, False])
def test_a_network_that_answers_with_too_few_rows_harms_nobody_who_waits_beside_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, embeddings: bool
) -> None:
    chosen, _ = network(tmp_path)
    journal = Journal(tmp_path / "journal", name="x")
    batching = Batching(journal, Tally(), max_batch=64)
    cut = Route(replace(chosen, version="cut", session=Cut(chosen.session, embeddings=embeddings)), "direct", "u", "default")
    sound = Route(chosen, "direct", "u", "default")

    answers = asyncio.run(asked_together(batching, [cut, sound, cut, sound, cut], [digit(seed) for seed in range(5)]))
    journal.close()

    assert all(isinstance(answer, Prediction) for answer in answers)  # one by one the network is right
    assert [each.request_id for each in read(tmp_path / "journal")[0]] == ["r0", "r2", "r4", "r1", "r3"]
    assert not caplog.records


def test_a_bug_in_one_answer_leaves_the_others_of_its_batch_answered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    chosen, _ = network(tmp_path)
    journal = Journal(tmp_path / "journal", name="x")
    batching = Batching(journal, Tally(), max_batch=64)
    route = Route(chosen, "direct", "u", "default")

    def broken(outcome: Prediction | DemlopmentError) -> None:
        raise ZeroDivisionError

    async def ask() -> list[Prediction | BaseException]:
        batching.ask(route, "broken", digit(1), broken)
        return await asked_together(batching, [route], [digit(1)])

    answers = asyncio.run(ask())
    journal.close()

    assert isinstance(answers[0], Prediction)
    assert len(caplog.records) == 1


def test_an_answer_that_cannot_be_journalled_is_not_given(tmp_path: Path) -> None:
    chosen, _ = network(tmp_path)
    journal = Journal(tmp_path / "journal", name="x")
    tally = Tally()

    route = Route(chosen, "direct", "u", "default")
    with full_disk(journal):
        answers = asyncio.run(asked_together(Batching(journal, tally, max_batch=64), [route], [digit(1)]))

    journal.close()
    assert isinstance(answers[0], NotReadyError)
    assert tally.counters == {("demlopment_journal_refused_total",): 1.0}


def test_a_journal_that_serves_gives_the_answer_and_counts_that_it_has_no_record(tmp_path: Path) -> None:
    chosen, _ = network(tmp_path)
    journal = Journal(tmp_path / "journal", name="x", full="serve")
    tally = Tally()

    route = Route(chosen, "direct", "u", "default")
    with full_disk(journal):
        answers = asyncio.run(asked_together(Batching(journal, tally, max_batch=64), [route] * 3, [digit(1)] * 3))

    journal.close()
    assert all(isinstance(answer, Prediction) for answer in answers)
    assert tally.counters["demlopment_journal_unrecorded_total",] == 3.0
    assert ("demlopment_journal_refused_total",) not in tally.counters


def test_an_answer_carries_the_digest_of_its_prepared_pixels(tmp_path: Path) -> None:
    chosen, _ = network(tmp_path)
    journal = Journal(tmp_path / "journal", name="x", images=0.0)

    route = Route(chosen, "direct", "u", "default")
    asyncio.run(asked_together(Batching(journal, Tally(), max_batch=64), [route], [digit(1)]))
    journal.close()

    ((kept,), _) = read(tmp_path / "journal")
    assert kept.image is None
    assert kept.digest == hashlib.sha256(images.prepare(digit(1)).tobytes()).hexdigest()


def test_a_softmax_of_large_logits_is_finite() -> None:
    rows = softmax(np.array([[1e4, -1e4, 0], [0, 0, 0]], np.float32))

    np.testing.assert_allclose(rows, np.array([[1, 0, 0], [1 / 3] * 3]), atol=1e-7)
    assert rows.dtype == np.float32


def test_a_generation_is_tried_before_it_answers_and_let_go_when_it_is_replaced(tmp_path: Path) -> None:
    files = {version: packed(tmp_path, version).name for version in ("1.0", "2.0")}
    one = State().register("digits", "1.0", Version(files["1.0"], "", 1, 1))
    two = one.register("digits", "2.0", Version(files["2.0"], "", 1, 1)).set_default("digits", "2.0")
    engine = Engine(tmp_path)
    engine.prepare(one)
    engine.switch(one)

    prepared = engine.prepare(two)
    before = engine.route("digits", None, Asker({}), "r").network
    engine.switch(two)
    after = engine.route("digits", None, Asker({}), "r").network
    kept = engine.route("digits", "1.0", Asker({}), "r").network
    engine.prepare(one)
    engine.switch(one)

    assert prepared == {}
    assert before is not None
    assert after is not None
    assert (before.version, after.version) == ("1.0", "2.0")
    assert kept is before
    assert [each.version for each in engine.networks] == ["1.0"]
    with pytest.raises(RequestError, match=r"Model version: 2\.0 does not exist"):
        engine.route("digits", "2.0", Asker({}), "r")


@pytest.mark.parametrize(
    ("version", "network_bytes", "said"),
    [("1.0", b"nonsense", "cannot be loaded"), ("1.0", b"", "cannot be loaded"), ("9.9", None, r"is version 1\.0")],
)
def test_an_archive_that_does_not_fit_is_named(tmp_path: Path, version: str, network_bytes: bytes | None, said: str) -> None:
    path = packed(tmp_path, "1.0", network=network_bytes)

    with pytest.raises(ArchiveError, match=said) as refused:
        load(tmp_path, ("digits", version), Version(path.name, "", 1, 1))

    assert path.name in str(refused.value)
    assert isinstance(refused.value, DemlopmentError)


def cut_short(output: str) -> bytes:
    """A network that answers two pictures as it should, and other numbers of them with two rows in one of its outputs."""
    model = onnx.load_model_from_string(onnx_network("1.0"))
    for node in model.graph.node:
        node.output[:] = [f"whole {name}" if name == output else name for name in node.output]
        node.input[:] = [f"whole {name}" if name == output else name for name in node.input]
    model.graph.initializer.append(numpy_helper.from_array(np.array([2, -1], np.int64), "two"))
    model.graph.node.append(helper.make_node("Reshape", [f"whole {output}", "two"], [output]))
    del model.graph.value_info[:]
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("output", ["logits", "embedding"])
def test_a_network_that_answers_two_pictures_only_is_refused(tmp_path: Path, output: str) -> None:
    path = packed(tmp_path, "1.0", network=cut_short(output))

    with pytest.raises(ArchiveError, match="answers 1 at once"):
        load(tmp_path, ("digits", "1.0"), Version(path.name, "", 1, 1))


def test_a_network_that_answers_with_something_else_than_arrays_is_refused(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("SequenceConstruct", ["image"], ["logits"]),
        helper.make_node("Flatten", ["image"], ["embedding"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, 28, 28])
    logits = helper.make_tensor_sequence_value_info("logits", TensorProto.FLOAT, ["n", 1, 28, 28])
    embedding = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", 784])
    graph = helper.make_graph(nodes, "odd", [image], [logits, embedding])
    odd = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10).SerializeToString()
    path = packed(tmp_path, "1.0", network=odd)

    with pytest.raises(ArchiveError, match="does not answer with arrays"):
        load(tmp_path, ("digits", "1.0"), Version(path.name, "", 1, 1))


@pytest.mark.parametrize(("lived", "failed"), [(True, {("digits", "2.0")}), (False, set())])
def test_a_process_that_dies_of_loading_has_failed_at_what_is_new(*, lived: bool, failed: set[tuple[str, str]]) -> None:
    class Dying(Slot):
        """A slot whose process does not answer."""

        def __init__(self) -> None:
            self.held = frozenset({("digits", "1.0")})
            self._line = Any if lived else None  # type: ignore[assignment]  # only asked whether it is there

        async def _ask(self, command: str, seconds: float, **arguments: Any) -> dict[str, Any] | None:
            return None

    one = State().register("digits", "1.0", Version("a", "a", 1, 1)).register("digits", "2.0", Version("b", "b", 1, 1))

    assert set(asyncio.run(Dying().prepare(one))) == failed
