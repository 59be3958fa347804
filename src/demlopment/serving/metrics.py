"""The metrics port: what was counted, as Prometheus reads it. Knows names and text; others count.

TorchServe's families come first, with its labels in its order and its Java client's comma before the closing brace, which
its users' regular expressions expect. Ours follow, with the prefix demlopment_.
"""

import shutil
import socket
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs

from demlopment.errors import DemlopmentError
from demlopment.serving import openapi
from demlopment.serving.guard import Guard
from demlopment.serving.http import wire
from demlopment.serving.http.wire import Answer, ClientGoneError, Headers, Receive, Scope, Send
from demlopment.serving.tally import BOUNDS, Histogram, Tally

HOST = ("Level", "Hostname")
DEVICE = ("Level", "DeviceId", "Hostname")
VERSION = ("model_name", "model_version", "hostname")
MODEL = ("ModelName", "Level", "Hostname")
TEXT_TYPE = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
OURS = "demlopment_"  # what the names of our own families begin with
SMALL_BODY = 65_536  # bytes; a scrape sends none


@dataclass(frozen=True)
class Family:
    """One metric. A last label that names the host is not counted under: the writer adds it."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    text: str
    labels: tuple[str, ...]


def _torchserve(kind: Literal["counter", "gauge"], unit: str, labels: tuple[str, ...], *names: str) -> list[Family]:
    return [Family(name, kind, f"Torchserve prometheus {kind} metric with unit: {unit}", labels) for name in names]


FAMILIES: tuple[Family, ...] = (
    *_torchserve("counter", "Count", HOST, "Requests2XX", "Requests4XX", "Requests5XX"),
    *_torchserve("counter", "Count", VERSION, "ts_inference_requests_total"),
    *_torchserve("counter", "Microseconds", VERSION, "ts_inference_latency_microseconds", "ts_queue_latency_microseconds"),
    *_torchserve("gauge", "Milliseconds", HOST, "QueueTime", "WorkerThreadTime"),
    *_torchserve("gauge", "Milliseconds", ("WorkerName", *HOST), "WorkerLoadTime"),
    *_torchserve("gauge", "Percent", HOST, "CPUUtilization"),
    *_torchserve("gauge", "Megabytes", HOST, "MemoryUsed", "MemoryAvailable"),
    *_torchserve("gauge", "Percent", HOST, "MemoryUtilization"),
    *_torchserve("gauge", "Gigabytes", HOST, "DiskUsage"),
    *_torchserve("gauge", "Percent", HOST, "DiskUtilization"),
    *_torchserve("gauge", "Gigabytes", HOST, "DiskAvailable"),
    *_torchserve("gauge", "Percent", DEVICE, "GPUMemoryUtilization"),
    *_torchserve("gauge", "Megabytes", DEVICE, "GPUMemoryUsed"),
    *_torchserve("gauge", "Percent", DEVICE, "GPUUtilization"),
    *_torchserve("gauge", "ms", MODEL, "HandlerTime", "PredictionTime"),
    Family(
        "demlopment_predictions_total",
        "counter",
        "Acknowledged predictions by the version that answered and its arm",
        ("model_name", "model_version", "arm"),
    ),
    Family(
        "demlopment_prediction_seconds",
        "histogram",
        "Seconds from a whole request to its journalled answer",
        ("model_name", "model_version"),
    ),
    Family(
        "demlopment_explanations_total",
        "counter",
        "Pictures whose answer was explained by a network",
        ("model_name", "model_version"),
    ),
    Family("demlopment_feedback_total", "counter", "Labels that came back", ()),
    Family("demlopment_journal_refused_total", "counter", "Answers refused because the journal could not be written", ()),
    Family(
        "demlopment_journal_unrecorded_total",
        "counter",
        "Answers given without a record, because the journal could not be written",
        (),
    ),
    Family("demlopment_process_restarts_total", "counter", "Serving processes that died and were replaced", ()),
    Family(
        "demlopment_worker_restarts_total",
        "counter",
        "Workers of Python handlers that died and were replaced",
        ("model_name", "model_version"),
    ),
    Family("demlopment_handler_total", "counter", "What a handler counts of its own", ("model_name", "model_version", "name")),
    Family("demlopment_handler_value", "gauge", "What a handler measures of its own", ("model_name", "model_version", "name")),
)


@dataclass(eq=False)
class Metrics:
    """The ASGI app of the metrics port."""

    collect: Callable[[], Awaitable[Tally]]
    tally: Tally  # where this port counts its own answers
    guard: Guard
    strict: bool = False  # TorchServe to the letter: none of our own families, and no request id of the caller
    cors: Headers = ()
    hostname: str = field(default_factory=socket.gethostname)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await wire.body(receive, SMALL_BODY, dict(scope["headers"]))
            self.guard.admit("metrics", scope["method"], scope["path"], dict(scope["headers"]))
            answer = await self._answer(scope)
        except DemlopmentError as error:
            answer = wire.failure(error, strict=self.strict)
        except ClientGoneError:
            return
        self.tally.answered(answer.status)
        request_id = wire.request_id(dict(scope["headers"]), strict=self.strict)
        await wire.reply(send, scope, answer, request_id, always=self.cors)

    async def _answer(self, scope: Scope) -> Answer:
        match wire.segments(scope["path"]):
            case ["metrics", *_]:
                chosen = parse_qs(scope["query_string"].decode("latin-1")).get("name[]", [])
                text = write(await self.collect(), self.hostname, chosen, strict=self.strict)
                return Answer(200, text.encode(), (TEXT_TYPE,))
            case ["api-description"]:
                return wire.as_json(openapi.document("metrics", strict=self.strict))
            case [] if scope["method"] == "OPTIONS":
                return wire.as_json(openapi.document("metrics", strict=self.strict))
            case []:
                raise wire.not_allowed("OPTIONS")
            case _:
                raise wire.not_found()


def write(tally: Tally, hostname: str, chosen: Collection[str] = (), *, strict: bool = False) -> str:
    """The exposition text of every family, or of the `chosen` ones; a family without a sample still says what it is.

    `strict` leaves out what TorchServe does not have.
    """
    lines: list[str] = []
    for family in FAMILIES:
        if (not chosen or family.name in chosen) and not (strict and family.name.startswith(OURS)):
            lines += (f"# HELP {family.name} {family.text}", f"# TYPE {family.name} {family.kind}")
            lines += _samples(family, tally, hostname)
    return "".join(f"{line}\n" for line in lines)


def observe_host(tally: Tally, disk: Path, busy: "Processor") -> None:
    """What TorchServe tells of the machine: memory, disk and processor."""
    memory = _memory_mb()
    used_mb = memory["MemTotal"] - memory["MemAvailable"]
    tally.gauge("MemoryUsed", "Host", value=used_mb)
    tally.gauge("MemoryAvailable", "Host", value=memory["MemAvailable"])
    tally.gauge("MemoryUtilization", "Host", value=100 * used_mb / memory["MemTotal"])
    usage = shutil.disk_usage(disk)
    tally.gauge("DiskUsage", "Host", value=usage.used / 2**30)
    tally.gauge("DiskAvailable", "Host", value=usage.free / 2**30)
    tally.gauge("DiskUtilization", "Host", value=100 * usage.used / usage.total)
    tally.gauge("CPUUtilization", "Host", value=busy.percent())


@dataclass
class Processor:
    """How busy all cores were since the last look, or since boot at the first."""

    _seen: tuple[int, int] = (0, 0)

    def percent(self) -> float:
        ticks = [int(each) for each in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        whole, idle = sum(ticks), ticks[3] + ticks[4]  # idle and waiting for the disk
        passed, resting = whole - self._seen[0], idle - self._seen[1]
        self._seen = (whole, idle)
        return 100 * (1 - resting / passed) if passed else 0.0


def _samples(family: Family, tally: Tally, hostname: str) -> Iterator[str]:
    if family.kind == "histogram":
        for series, histogram in sorted(tally.histograms.items()):
            if series[0] == family.name:
                yield from _histogram(family, series[1:], histogram)
        return
    values = tally.counters if family.kind == "counter" else {series: seen[0] for series, seen in tally.gauges.items()}
    for series, value in sorted(values.items()):
        if series[0] == family.name:
            yield _sample(family.name, family.labels, (*series[1:], hostname), value)


def _histogram(family: Family, labels: tuple[str, ...], histogram: Histogram) -> Iterator[str]:
    below = 0
    for bound, count in zip((*map(str, BOUNDS), "+Inf"), histogram.counts, strict=True):
        below += count
        yield _sample(f"{family.name}_bucket", (*family.labels, "le"), (*labels, bound), float(below))
    yield _sample(f"{family.name}_count", family.labels, labels, float(below))
    yield _sample(f"{family.name}_sum", family.labels, labels, histogram.total)


def _sample(name: str, labels: tuple[str, ...], values: tuple[str, ...], value: float) -> str:
    pairs = "".join(f'{label}="{_escaped(text)}",' for label, text in zip(labels, values, strict=False))
    return f"{name}{{{pairs}}} {float(value)}" if pairs else f"{name} {float(value)}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _memory_mb() -> dict[str, float]:
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    return {line[0].rstrip(":"): int(line[1]) / 1024 for line in lines}
