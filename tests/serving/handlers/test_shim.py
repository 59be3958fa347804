"""What handlers import from TorchServe: the small modules are here, and the large ones say what to install."""

import asyncio
import json
from pathlib import Path

import pytest

from demlopment.serving.handlers.hall import Hall
from demlopment.serving.metrics import write
from tests.serving.handlers.hosting import hosted, written

HERE = """
import ts
from ts.context import Context, RequestProcessor
from ts.handler_utils.timer import timed
from ts.handler_utils.utils import import_class, send_intermediate_predict_response
from ts.metrics.caching_metric import CachingMetric
from ts.metrics.dimension import Dimension
from ts.metrics.metric import Metric
from ts.metrics.metric_cache_errors import MetricsCacheKeyError
from ts.metrics.metric_type_enum import MetricTypes
from ts.metrics.metrics_store import MetricsStore
from ts.metrics.unit import Units
from ts.protocol.otf_message_handler import send_intermediate_predict_response
from ts.service import PREDICTION_METRIC, PredictionException, Service
from ts.torch_handler.base_handler import BaseHandler
from ts.utils.util import (
    PT2Backend, check_valid_pt2_backend, get_yaml_config, list_classes_from_module, load_label_mapping, map_class_to_label
)
from ts.version import __version__

def handle(data, context):
    if data is None:
        return
    Metric("Old", 0, "count", [Dimension("who", "me")]).update(3)
    MetricsStore({0: "id"}, "echo").add_counter("Older", 2)
    try:
        context.metrics.get_metric("NoSuch")
    except MetricsCacheKeyError as missing:
        said = str(missing)
    return [{
        "versions": [ts.__version__, __version__],
        "class": import_class("ts.context.Context") is import_class("Context", "ts.context"),
        "backends": [check_valid_pt2_backend("inductor"), check_valid_pt2_backend("magic")],
        "unit": Units().units["ms"],
        "missing": said,
        "cache": {kind.value: sorted(names) for kind, names in context.metrics.cache.items()},
        "store": context.metrics.store,
        "service": Service("m", "/", None, handle, None, 1).context.model_name,
    }]
"""

LATER = """
class Handler:
    def initialize(self, context):
        import ts.handler_utils.distributed.pt_pippy

    def handle(self, data, context):
        pass
"""


def test_the_small_modules_are_here(tmp_path: Path) -> None:
    async def ask() -> tuple[bytes, str]:
        async with hosted(tmp_path, HERE) as served:
            return (await served.ask(b"")).body, write(served.hall.collect(), "h")

    body, text = asyncio.run(ask())

    assert json.loads(body) == {
        "versions": ["0.12.0", "0.12.0"],
        "class": True,
        "backends": [True, False],
        "unit": "Milliseconds",
        "missing": "\"Metric of type 'MetricTypes.COUNTER' and name 'NoSuch' doesn't exist\"",
        "cache": {"gauge": ["HandlerTime", "PredictionTime"]},
        "store": [],
        "service": "m",
    }
    assert 'Old{who="me",model_name="echo",model_version="1.0",Hostname="h",} 3.0' in text
    assert 'Older{ModelName="echo",Level="Model",model_name="echo",model_version="1.0",Hostname="h",} 2.0' in text


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("from ts.torch_handler.image_classifier import ImageClassifier", "ts.torch_handler.image_classifier"),
        ("import ts.torch_handler.request_envelope.json", "ts.torch_handler.request_envelope"),
        ("from ts.handler_utils.micro_batching import MicroBatching", "ts.handler_utils.micro_batching"),
        ("from ts.utils.util import load_compiler_config", "ts.utils.util"),
        (LATER, "ts.handler_utils.distributed"),
    ],
)
def test_what_is_not_here_says_what_to_install(code: str, name: str, tmp_path: Path) -> None:
    async def load() -> dict[tuple[str, str], str]:
        return await Hall(tmp_path / "handlers", lambda _: None).prepare([written(tmp_path, code)])

    (reason,) = asyncio.run(load()).values()

    assert f"{name} of TorchServe" in reason
    assert "Install the real package torchserve beside the endpoint" in reason


def test_an_import_of_anything_else_fails_in_its_own_words(tmp_path: Path) -> None:
    async def load() -> dict[tuple[str, str], str]:
        return await Hall(tmp_path / "handlers", lambda _: None).prepare([written(tmp_path, "import nowhere_at_all")])

    (reason,) = asyncio.run(load()).values()

    assert reason == "ModuleNotFoundError: No module named 'nowhere_at_all'"


def test_the_real_package_is_used_where_an_archive_brings_it(tmp_path: Path) -> None:
    files = {"ts/__init__.py": b"", "ts/torch_handler/__init__.py": b"", "ts/torch_handler/mine.py": b"SAYS = 'real'"}
    code = "from ts.torch_handler.mine import SAYS\ndef handle(data, context): return data and [SAYS]"

    async def ask() -> bytes:
        async with hosted(tmp_path, code, files=files) as served:
            return (await served.ask(b"")).body

    assert asyncio.run(ask()) == b"real"
