"""The metrics port: what was counted, as Prometheus reads it. Knows no name; others count.

TorchServe's families come first, with its labels in its order, which its users' regular expressions expect. Ours follow, with
the prefix demlopment_, then what handlers measure of their own.
"""

import shutil
import socket
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from urllib.parse import parse_qs

from demlopment.errors import DemlopmentError
from demlopment.serving import exposition, measured, openapi
from demlopment.serving.families import FAMILIES, OURS, Family
from demlopment.serving.guard import Guard
from demlopment.serving.http import wire
from demlopment.serving.http.wire import Answer, ClientGoneError, Headers, Receive, Scope, Send
from demlopment.serving.tally import Tally

TEXT_TYPE = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
SMALL_BODY = 65_536  # bytes; a scrape sends none


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
        await wire.reply(send, answer, request_id, always=self.cors)

    async def _answer(self, scope: Scope) -> Answer:
        match wire.segments(scope["path"]):
            case ["metrics", *_]:
                chosen = parse_qs(scope["query_string"].decode("latin-1")).get("name[]", [])
                text = write(await self.collect(), self.hostname, chosen, strict=self.strict)
                return Answer(200, text.encode(errors="replace"), (TEXT_TYPE,))
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
            lines += exposition.heading(family.name, family.kind, family.text)
            lines += _samples(family, tally, hostname)
    lines += measured.lines(tally, hostname, chosen, strict=strict)
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
        for series, histogram in sorted(tally.histograms.items(), key=itemgetter(0)):
            if series[0] == family.name:
                yield from exposition.samples(family.name, family.labels, series[1:], histogram)
        return
    values = tally.counters if family.kind == "counter" else {series: seen[0] for series, seen in tally.gauges.items()}
    for series, value in sorted(values.items()):
        if series[0] == family.name:
            yield exposition.sample(family.name, family.labels, (*series[1:], hostname), value)


def _memory_mb() -> dict[str, float]:
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    return {line[0].rstrip(":"): int(line[1]) / 1024 for line in lines}
