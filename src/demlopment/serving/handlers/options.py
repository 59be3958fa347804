"""The endpoint's part of a model-config.yaml. The rest is the handler's, which reads the file itself. Knows no archive."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import yaml

from demlopment.errors import ArchiveError
from demlopment.serving.state import MAX_WORKERS, NUMBERS, Version

NAMES = {
    **NUMBERS,
    "maxRetryTimeoutInSec": "retry_timeout",
    "clientTimeoutInMills": "client_timeout",
    "jobQueueSize": "queue_size",
}
LEAST = {"max_batch_delay": 0, "client_timeout": 0}  # the others start at 1
MOST = {"min_workers": MAX_WORKERS, "max_workers": MAX_WORKERS}
UNSUPPORTED = {
    "asyncCommunication",
    "continuousBatching",
    "deviceIds",
    "deviceType",
    "maxNumSequence",
    "maxSequenceJobQueueSize",
    "parallelLevel",
    "parallelType",
    "sequenceBatching",
    "sequenceMaxIdleMSec",
    "sequenceTimeoutMSec",
    "torchrun",
    "useJobTicket",
    "useVenv",
}
HARMLESS = {"deviceType": "cpu"}  # what we do anyway


@dataclass(frozen=True)
class Options:
    """What the file says to the endpoint; None where it is silent."""

    min_workers: int | None = None
    max_workers: int | None = None
    batch_size: int | None = None
    max_batch_delay: int | None = None  # ms
    response_timeout: int | None = None  # s
    startup_timeout: int | None = None  # s
    retry_timeout: int | None = None  # s
    client_timeout: int | None = None  # ms
    queue_size: int | None = None

    def over(self, asked: Version) -> Version:
        """The version that a registration asks for, with what the file says, by TorchServe's precedence.

        Workers and time-outs of the file win; its batch size and delay only where the registration has the default.
        """
        values: dict[str, Any] = {}
        if self.min_workers and self.max_workers and self.max_workers >= self.min_workers:
            values |= {"min_workers": self.min_workers, "max_workers": self.max_workers}
        for name, default in (("batch_size", 1), ("max_batch_delay", 100)):
            if getattr(asked, name) == default and getattr(self, name) is not None:
                values[name] = getattr(self, name)
        for name in ("response_timeout", "startup_timeout"):
            if getattr(self, name) is not None:
                values[name] = getattr(self, name)
        if self.queue_size is not None:
            values["job_queue_size"] = self.queue_size
        return replace(asked, **values)


def read(text: bytes) -> tuple[Options, tuple[str, ...]]:
    """What the file says, and the keys that are not applied. Raises ArchiveError with TorchServe's words for broken YAML."""
    try:
        values = yaml.safe_load(text.decode())
    except (yaml.YAMLError, ValueError, RecursionError) as broken:
        raise ArchiveError("Failed to parse model config yaml file.", str(broken).replace("\n", " ")) from broken
    if values is None:
        return Options(), ()
    if not isinstance(values, Mapping):
        raise ArchiveError("Failed to parse model config yaml file.", "It is not a mapping.")
    applied: dict[str, int] = {}
    ignored: list[str] = []
    for key, value in values.items():
        if key in NAMES and _fits(NAMES[key], value):
            applied[NAMES[key]] = value
        elif key in NAMES or (key in UNSUPPORTED and value != HARMLESS.get(key)):
            ignored.append(key)
    return Options(**applied), tuple(sorted(ignored))


def _fits(name: str, value: Any) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole and LEAST.get(name, 1) <= value <= MOST.get(name, 10**9)


assert set(NAMES.values()) == {field.name for field in fields(Options)}
