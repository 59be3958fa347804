"""Models as the management port shows them: TorchServe's keys, in its order. Knows no process beyond what it is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from demlopment.serving.state import Model, Version

PAGE = 100  # models; TorchServe's limit of a page


@dataclass(frozen=True)
class Worker:
    """One serving process, as one version's worker."""

    id: str
    pid: int
    started: float  # seconds since 1970
    ready: bool


@dataclass(frozen=True)
class Queue:
    """The requests that wait for the workers of a version. Those of a network never wait for more than one batch."""

    remaining: int
    pending: int


def describe(
    name: str, number: str, version: Version, workers: Sequence[Worker], queue: Queue, *, at_startup: bool
) -> dict[str, Any]:
    """One version. What only GPUs or sequences have keeps TorchServe's default."""
    return {
        "modelName": name,
        "modelVersion": number,
        "modelUrl": version.url,
        "runtime": "python",
        "minWorkers": version.min_workers,
        "maxWorkers": version.max_workers,
        "batchSize": version.batch_size,
        "maxBatchDelay": version.max_batch_delay,
        "responseTimeout": version.response_timeout,
        "startupTimeout": version.startup_timeout,
        "maxRetryTimeoutInSec": 300,
        "clientTimeoutInMills": 0,
        "parallelType": "",
        "parallelLevel": 0,
        "deviceType": "cpu",
        "continuousBatching": False,
        "useJobTicket": False,
        "useVenv": False,
        "stateful": False,
        "sequenceMaxIdleMSec": 0,
        "sequenceTimeoutMSec": 0,
        "maxNumSequence": 0,
        "maxSequenceJobQueueSize": 0,
        "loadedAtStartup": at_startup,
        "workers": [_worker(worker) for worker in workers],
        "jobQueueStatus": {"remainingCapacity": queue.remaining, "pendingRequests": queue.pending},
    }


def page(models: Mapping[str, Model], limit: int, offset: int, *, strict: bool) -> dict[str, Any]:
    """The default versions by name, from `offset`; a token only where there is more, or, if strict, on a full last page too."""
    limit = limit if 0 <= limit <= PAGE else PAGE
    offset = max(offset, 0)
    names = sorted(models)
    shown = [
        {"modelName": name, "modelUrl": models[name].versions[models[name].default].url}
        for name in names[offset : offset + limit]
    ]
    more = offset + limit < len(names) + strict
    token = {"nextPageToken": str(offset + limit)} if more else {}
    return token | {"models": shown}


def resident_bytes(pid: int) -> int:
    """Memory of a process, 0 of one that has just died."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _worker(worker: Worker) -> dict[str, Any]:
    started = datetime.fromtimestamp(worker.started, UTC)
    return {
        "id": worker.id,
        "startTime": f"{started:%Y-%m-%dT%H:%M:%S}.{started.microsecond // 1000:03d}Z",
        "status": "READY" if worker.ready else "UNLOADING",  # TorchServe's word for loading too
        "memoryUsage": resident_bytes(worker.pid),
        "pid": worker.pid,
        "gpu": False,
        "gpuUsage": "N/A",
    }
