"""Handlers of every kind in real workers: what they are told, what they may set, and what becomes of what they do."""

import asyncio
import json
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from demlopment.errors import NotReadyError, RequestError
from demlopment.serving.calls import Call, Field, Reply
from demlopment.serving.handlers.hall import Hall
from demlopment.serving.metrics import write
from tests.serving.handlers.hosting import KEY, Hosted, hosted, written

ECHO = "def handle(data, context): return data and [row.get('body') for row in data]"

# What it does is what its request says, so one worker serves many tests of one kind.
OBEDIENT = """
import os, json
from ts.utils.util import PredictionException

class Handler:
    def initialize(self, context):
        self.folder = context.system_properties["model_dir"]

    def handle(self, data, context):
        return [self.one(row["body"], index, context) for index, row in enumerate(data)]

    def one(self, order, index, context):
        if order == "status":
            context.set_response_status(418, "Teapot", index)
            context.set_response_header(index, "x-mine", "1")
            context.set_response_content_type(index, "text/tea")
            return "short and stout"
        if order == "refuse":
            raise PredictionException("not this one", 422)
        if str(order).startswith("code"):
            raise PredictionException("odd", eval(order[5:]))
        if order == "cuda":
            raise RuntimeError("CUDA out of memory")
        if order == "raise":
            raise KeyError("what")
        if order == "set":
            return {1, 2}
        return order
"""


def answered(code: str, order: Any, root: Path, **options: Any) -> Reply | RequestError:
    async def ask() -> Reply | RequestError:
        async with hosted(root, code, **options) as served:
            try:
                return await served.ask(order)
            except RequestError as refusal:
                return refusal

    return asyncio.run(ask())


def test_a_refusal_with_a_status_that_is_none_is_a_fault_of_the_handler(tmp_path: Path) -> None:
    async def ask() -> list[tuple[int, str]]:
        async with hosted(tmp_path, OBEDIENT) as served:
            refusals = []
            for code in ("100", "103", "999", "-1", "'x'", "599"):
                with pytest.raises(RequestError) as refusal:
                    await served.ask(f"code {code}", "text/plain")
                refusals.append((refusal.value.status, str(refusal.value)))
            return refusals

    *improper, word, proper = asyncio.run(ask())

    assert improper == [
        (500, f"The handler of echo 1.0 sent the status {status}. It is no HTTP.") for status in (100, 103, 999, -1)
    ]
    assert (word, proper) == ((500, "odd"), (599, "odd"))


def test_a_function_answers_and_has_been_called_once_to_load(tmp_path: Path) -> None:
    code = """
loaded = []
def handle(data, context):
    if data is None:
        loaded.append(context.manifest["model"]["modelName"])
        return
    return [{"loaded": loaded, "row": row["body"].decode()} for row in data]
"""

    reply = answered(code, b"hello", tmp_path)

    assert isinstance(reply, Reply)
    assert (reply.status, reply.phrase, reply.headers) == (200, "", ())
    assert reply.body == json.dumps({"loaded": ["echo"], "row": "hello"}, indent=2).encode()


def test_a_class_without_initialize_has_nothing_to_load(tmp_path: Path) -> None:
    code = "class Handler:\n    def handle(self, data, context): return ['yes'] * len(data)"

    reply = answered(code, b"", tmp_path)

    assert isinstance(reply, Reply)
    assert reply.body == b"yes"


def test_another_function_can_be_named(tmp_path: Path) -> None:
    reply = answered("def other(data, context): return ['other'] * len(data or [])", b"", tmp_path, handler="handler:other")

    assert isinstance(reply, Reply)
    assert reply.body == b"other"


def test_a_class_sets_statuses_and_headers_and_refuses_in_its_own_words(tmp_path: Path) -> None:
    async def ask() -> tuple[list[Reply], list[tuple[int, str]]]:
        async with hosted(tmp_path, OBEDIENT) as served:
            replies = [await served.ask("status", "text/plain"), await served.ask({"a": 1})]
            refusals = []
            for order in ("refuse", "raise", "cuda", "set"):
                with pytest.raises(RequestError) as refusal:
                    await served.ask(order, "text/plain")
                assert refusal.value.kind == "InternalServerException"
                refusals.append((refusal.value.status, str(refusal.value)))
            return replies, refusals

    (teapot, plain), refusals = asyncio.run(ask())

    assert (teapot.status, teapot.phrase, teapot.body) == (418, "Teapot", b"short and stout")
    assert dict(teapot.headers) == {"x-mine": "1", "content-type": "text/tea"}
    assert (plain.status, plain.body) == (200, b'{\n  "a": 1\n}')
    assert refusals == [
        (422, "not this one"),
        (503, "Prediction failed"),
        (507, "Out of resources"),
        (503, "Unsupported model output data type."),
    ]


@pytest.mark.parametrize(
    ("answer", "words"),
    [("'text'", "Invalid model predict output"), ("[1, 2]", "number of batch response mismatched")],
)
def test_what_is_no_list_of_the_right_length_is_torchserves_refusal(tmp_path: Path, answer: str, words: str) -> None:
    refusal = answered(f"def handle(data, context): return {answer}", b"", tmp_path)

    assert isinstance(refusal, RequestError)
    assert (refusal.status, str(refusal)) == (503, words)


def test_fields_headers_and_ids_reach_the_handler(tmp_path: Path) -> None:
    code = """
def handle(data, context):
    return data and [
        {
            "fields": {name: str(value) for name, value in row.items()},
            "headers": context.get_all_request_header(index),
            "id": context.get_request_id(index),
        }
        for index, row in enumerate(data)
    ]
"""
    call = Call("id-7", {"x-unit": "u", "url_path": "a/b"}, (Field("data", b"1", "text/plain"), Field("k", b"{}", "")))

    async def ask() -> Reply:
        async with hosted(tmp_path, code) as served:
            return await served.call(call)

    said = json.loads(asyncio.run(ask()).body)

    assert said["id"] == "id-7"
    assert said["fields"] == {"data": "1", "k": "bytearray(b'{}')"}
    assert said["headers"] == {
        "data": {"content-type": "text/plain"},
        "k": {"content-type": ""},
        "x-unit": "u",
        "url_path": "a/b",
    }


def network() -> bytes:
    """ONNX that doubles its input."""
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "double",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


BASE = """
import numpy as np
from ts.torch_handler.base_handler import BaseHandler

class Doubling(BaseHandler):
    def preprocess(self, data):
        return np.array([row["body"] for row in data], np.float32)

    def inference(self, data):
        (doubled,) = self.model.run(None, {"x": data})
        return doubled

    def explain_handle(self, prepared, raw):
        return [{"explained": raw[0]["body"], "target": raw[0].get("target", 0)}]

    def describe_handle(self):
        return {"doubles": self.mapping}
"""


def manifest(**model: str) -> dict[str, bytes]:
    values = {"modelName": "echo", "modelVersion": "1.0", "handler": "handler.py", **model}
    return {"MAR-INF/MANIFEST.json": json.dumps({"model": values}).encode()}


def test_a_base_handler_loads_onnx_and_answers_explains_and_describes(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    files = {
        **manifest(serializedFile="net.onnx", configFile="model-config.yaml"),
        "net.onnx": network(),
        "index_to_name.json": b'{"0": ["n1", "zero"]}',
        "model-config.yaml": b"handler:\n  profile: true\n",
    }

    async def ask() -> tuple[list[bytes], Any, set[str]]:
        async with hosted(tmp_path, BASE, files=files) as served:
            bodies = [(await served.ask(3.5)).body, (await served.ask(3.5, explain="True")).body]
            description = await served.hall.describe(KEY)
            return bodies, description, {series[0] for series in served.hall.collect().gauges}

    bodies, description, gauges = asyncio.run(ask())

    assert [json.loads(body) for body in bodies] == [7.0, {"explained": 3.5, "target": 0}]
    assert description == {"doubles": {"0": "zero"}}
    assert {"HandlerTime", "PredictionTime", "QueueTime", "WorkerThreadTime", "WorkerLoadTime"} <= gauges


def test_a_base_handler_loads_a_class_with_weights_and_needs_no_code_of_its_own(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    layer = torch.nn.Linear(2, 2)
    torch.save(layer.state_dict(), tmp_path / "weights.pt")
    code = "from torch.nn import Linear\nclass Net(Linear):\n    def __init__(self): super().__init__(2, 2)\n"
    files = {
        **manifest(serializedFile="weights.pt", modelFile="net.py", handler="handler.py"),
        "net.py": code.encode(),
        "weights.pt": (tmp_path / "weights.pt").read_bytes(),
    }
    body = "from ts.torch_handler.base_handler import BaseHandler\nclass Mine(BaseHandler):\n"
    rows = "    def preprocess(self, data): return super().preprocess([row['body'] for row in data])\n"

    reply = answered(body + rows, [1.0, 2.0], tmp_path, files=files)

    assert isinstance(reply, Reply)
    np.testing.assert_allclose(json.loads(reply.body), layer(torch.tensor([1.0, 2.0])).tolist(), rtol=1e-5)


def refusal(tmp_path: Path, code: str, **options: Any) -> str:
    async def prepare() -> str:
        hall = Hall(tmp_path / "handlers", lambda _: None)
        reasons = await hall.prepare([written(tmp_path, code, **options)])
        assert not list((tmp_path / "handlers" / "work").iterdir()), "its folder is gone"
        await hall.drain()
        return reasons[KEY]

    return asyncio.run(prepare())


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise RuntimeError('no weights here')", "RuntimeError: no weights here"),
        ("import nothing_of_this_name", "ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("def handle(data, context): raise MemoryError", "MemoryError"),
        ("def handle(: pass", "SyntaxError: invalid syntax"),
        ("import sys; sys.exit('enough')", "SystemExit: enough"),
        ("import os; os._exit(3)", "its worker ended with status 3 while it loaded the handler"),
        ("import os; os.kill(os.getpid(), 9)", "its worker was killed by signal 9 while it loaded the handler"),
        (
            "class One:\n    def handle(s, d, c): pass\nclass Two(One): pass",
            "ValueError: handler needs one function or one class",
        ),
        ("x = 1", "ValueError: handler needs one function or one class"),
    ],
)
def test_a_handler_that_cannot_be_loaded_says_why(tmp_path: Path, code: str, reason: str) -> None:
    assert refusal(tmp_path, code).startswith(reason)


def test_a_handler_that_hangs_while_it_loads_is_given_up(tmp_path: Path) -> None:
    code = "import threading; threading.Event().wait()"

    assert refusal(tmp_path, code, startup_timeout=0.5) == "its handler was not loaded within 0.5 s"


def test_a_handler_of_torchserves_own_asks_for_its_package(tmp_path: Path) -> None:
    reason = refusal(tmp_path, "", handler="image_classifier")

    assert reason.startswith("ImportError: The archive has no module 'image_classifier'")
    assert "install the package torchserve" in reason


STREAM = """
from ts.handler_utils.utils import send_intermediate_predict_response
import os

def handle(data, context):
    if data is None:
        return
    for number in range(3):
        send_intermediate_predict_response([f"{number} "] * len(data), context.request_ids, "part", 200, context)
    order = data[0]["body"]
    if order == "die":
        os._exit(1)
    if order == "raise":
        raise ValueError
    return ["end"] * len(data)
"""


async def whole(reply: Reply) -> list[bytes]:
    assert reply.rest is not None
    return [reply.body, *[part async for part in reply.rest]]


def test_a_stream_comes_in_parts_and_one_that_breaks_does_not_look_whole(tmp_path: Path) -> None:
    async def ask() -> tuple[Reply, list[bytes]]:
        async with hosted(tmp_path, STREAM) as served:
            reply = await served.ask("go", "text/plain")
            parts = await whole(reply)
            for order in ("raise", "die"):
                with pytest.raises(NotReadyError, match="cut off"):
                    await whole(await served.ask(order, "text/plain"))
            assert await whole(await served.ask("go", "text/plain")) == parts
            return reply, parts

    reply, parts = asyncio.run(ask())

    assert parts == [b"0 ", b"1 ", b"2 ", b"end"]
    assert (reply.status, dict(reply.headers)) == (200, {"ts_stream_next": "true"})


def test_a_stream_that_is_closed_before_its_end_is_asked_for_no_more(tmp_path: Path) -> None:
    async def ask() -> list[bytes]:
        async with hosted(tmp_path, STREAM) as served:
            reply = await served.ask("go", "text/plain")
            assert isinstance(reply.rest, AsyncGenerator)
            assert await anext(reply.rest) == b"1 "
            await reply.rest.aclose()
            return await whole(await served.ask("go", "text/plain"))

    assert len(asyncio.run(ask())) == 4


SPY = """
import os, resource, sys
def kind(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}").split(":")[0]
    except FileNotFoundError:  # of the listing itself
        return ""
def handle(data, context):
    return data and [{
        "environment": dict(os.environ),
        "cwd": os.getcwd(),
        "files": os.listdir(),
        "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
        "data": resource.getrlimit(resource.RLIMIT_DATA)[0],
        "group": os.getpgrp() == os.getpid(),
        "open": sorted(kind(fd) for fd in os.listdir("/proc/self/fd") if int(fd) > 2),
        "path": sys.path,
    }]
"""


def test_a_worker_sees_a_reduced_environment_and_has_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMLOPMENT_ENDPOINT__TOKENS", "management:secret")
    monkeypatch.setenv("TS_HIDDEN", "x")
    monkeypatch.setenv("TS_SEEN", "y")

    reply = answered(SPY, b"", tmp_path, hidden="TS_HID.*", memory_mb=512)

    assert isinstance(reply, Reply)
    seen = json.loads(reply.body)
    assert seen["environment"]["TS_SEEN"] == "y"
    assert not {"DEMLOPMENT_ENDPOINT__TOKENS", "TS_HIDDEN"} & set(seen["environment"])
    assert seen["environment"]["HOME"].startswith(str(tmp_path / "handlers" / "work"))
    assert seen["cwd"] == str(tmp_path / "archive-echo-1.0")
    assert {"MAR-INF", "handler.py"} <= set(seen["files"])
    assert (seen["core"], seen["data"], seen["group"]) == (0, 512 << 20, True)
    assert seen["open"].count("socket") == 1, "no socket but its line"
    assert os.getcwd() not in seen["path"]  # noqa: PTH109  # as the worker would see it


def test_what_a_handler_prints_reaches_a_person_and_a_flood_does_not(tmp_path: Path) -> None:
    code = """
import sys
def handle(data, context):
    if data is None:
        print("hello")
        return
    for number in range(20_000):
        print("line", number)
    print("x" * 100_000, file=sys.stderr)
    return ["done"]
"""

    async def ask() -> list[str]:
        async with hosted(tmp_path, code) as served:
            assert (await served.ask(b"")).body == b"done"
            return served.told

    told = asyncio.run(ask())  # all of it: the worker has ended

    assert told[0] == "[W-9500-echo_1.0] hello"
    assert len(told) < 2000
    assert any("lines left out" in line for line in told)
    assert max(map(len, told)) < 3000


MEASURES = """
from ts.metrics.dimension import Dimension
from ts.metrics.metric_type_enum import MetricTypes

class Handler:
    def initialize(self, context):
        metrics = context.metrics
        self.tokens = metrics.add_metric_to_cache("Tokens", "count", ["tenant"], MetricTypes.COUNTER)
        self.took = metrics.add_metric_to_cache("Took", "ms", ["tenant"], MetricTypes.HISTOGRAM)
        self.tokens.add_or_update(100, ["loading"])

    def handle(self, data, context):
        metrics = context.metrics
        self.tokens.add_or_update(1, ["a"])
        self.tokens.add_or_update(10, ["b"])
        self.tokens.add_or_update(10, ["b", "c"])
        self.took.add_or_update(5, ["a"])
        self.took.add_or_update(7, ["a"])
        metrics.add_counter("Seen", 2, None, [Dimension("who", "me")])
        metrics.add_error("Wrong", 1)
        metrics.add_metric("Ratio", 0.5, "unit", metric_type=MetricTypes.GAUGE)
        metrics.add_counter("Sinking", -1)
        metrics.add_counter("Odd", float("nan"))
        metrics.add_counter("Worse", "many")
        metrics.add_counter("a\\ud800", 1)
        metrics.add_counter("Requests2XX", 1)
        try:
            metrics.get_metric("NoSuch")
        except KeyError as error:
            return [type(error).__name__] * len(data)
"""


def test_measurements_of_a_handler_are_exposed_under_their_own_names(tmp_path: Path) -> None:
    async def ask() -> tuple[bytes, Any]:
        async with hosted(tmp_path, MEASURES) as served:
            await served.ask(b"")
            return (await served.ask(b"")).body, served.hall.collect()

    body, tally = asyncio.run(ask())
    text = write(tally, "h")

    ours = 'model_name="echo",model_version="1.0",Hostname="h",} '
    model = 'ModelName="echo",Level="Model",'
    assert body == b"MetricsCacheKeyError"
    assert {f'Tokens{{tenant="{tenant}",{ours}{count}.0' for tenant, count in (("a", 2), ("b", 20), ("loading", 100))} == {
        line for line in text.splitlines() if line.startswith("Tokens{")
    }
    assert {
        'Took_bucket{tenant="a",' + ours[:-2] + f'le="{bound}",}} {count}.0' for bound, count in ((2.5, 0), (5.0, 2), (7.5, 4))
    } <= set(text.splitlines())
    assert f'Took_sum{{tenant="a",{ours}24.0' in text
    assert f'Seen{{who="me",{model}{ours}4.0' in text
    assert f'Wrong{{Level="Error",{ours}2.0' in text
    assert f"Ratio{{{model}{ours}0.5" in text
    assert f"a_{{{model}{ours}2.0" in text
    assert not [line for line in text.splitlines() if line.startswith(("Sinking{", "Odd{", "Worse{"))]
    assert "Requests2XX{ModelName" not in text
    assert 'demlopment_handler_metrics_dropped_total{model_name="echo",model_version="1.0",} 2.0' in text


def test_more_measurements_than_an_answer_can_carry_are_dropped_and_the_answer_is_not(tmp_path: Path) -> None:
    code = """
def handle(data, context):
    for number in range(100_000 if data else 0):
        context.metrics.add_counter(f"flood {number}", 1)
    return data and ["x"]
"""

    reply = answered(code, b"", tmp_path)

    assert isinstance(reply, Reply)
    assert reply.body == b"x"


def test_an_envelope_is_taken_off_and_put_back(tmp_path: Path) -> None:
    code = "def handle(data, context): return data and [2 * each for each in data]"

    reply = answered(code, {"instances": [1, 2, 3]}, tmp_path, envelope="kserve")
    fault = answered(code, {"instance": 1}, tmp_path / "other", envelope="kserve")

    assert isinstance(reply, Reply)
    assert json.loads(reply.body) == {"predictions": [2, 4, 6]}
    assert isinstance(fault, RequestError)
    assert (fault.status, fault.kind) == (400, "BadRequestException")


def test_our_own_archives_handler_would_run_here_too(tmp_path: Path) -> None:
    """The contract of handler.py, which TorchServe runs: `initialize` with a folder, `handle` with rows."""
    files = {"extra.txt": b"beside"}
    code = """
import os
class Handler:
    def initialize(self, context):
        with open(os.path.join(context.system_properties["model_dir"], "extra.txt")) as file:
            self.text = file.read()
    def handle(self, data, context):
        return [self.text for _ in data]
"""

    reply = answered(code, b"", tmp_path, files=files)

    assert isinstance(reply, Reply)
    assert reply.body == b"beside"


def test_hosting_leaves_no_folder_behind(tmp_path: Path) -> None:
    async def ask() -> Hosted:
        async with hosted(tmp_path, ECHO) as served:
            assert (await served.ask(b"x")).body == b"x"
            assert list((tmp_path / "handlers" / "work").iterdir())
            return served

    asyncio.run(ask())

    assert not list((tmp_path / "handlers" / "work").iterdir())
