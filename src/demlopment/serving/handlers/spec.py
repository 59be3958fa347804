"""What a pool of workers needs to know of its version. Knows no process, no archive format and no HTTP."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from demlopment.serving.state import Version

if TYPE_CHECKING:
    from demlopment.serving.handlers.manifest import Foreign
    from demlopment.settings import Endpoint

Key = tuple[str, str]  # model, version


@dataclass(frozen=True)
class Spec:
    """One served version of a handler. Two that differ only in their numbers of workers share a pool."""

    model: str
    version: str
    folder: Path  # where the archive was unpacked for this registration
    handler: str  # as the archive names it: "file.py", "module:function", "base_handler"
    min_workers: int = 1
    max_workers: int = 1
    batch_size: int = 1
    max_batch_delay: int = 100  # ms; only a strict pool waits for a batch to fill
    response_timeout: float = 120.0  # s a batch, or the next part of a stream, may take
    startup_timeout: float = 120.0  # s from the start of a worker to its handler being loaded
    retry_timeout: float = 300.0  # s during which a worker that does not start is started again
    client_timeout: int = 0  # ms from request to answer; 0 is no limit
    queue_size: int = 100  # requests that wait
    queue_full_status: int = 503  # or 429
    envelope: str = ""  # body, json, kserve, kservev2
    max_response_bytes: int = 6_553_500
    memory_mb: int = 4096  # of one worker
    hidden: str = ""  # regular expression: environment variables that no worker sees, besides ours
    passed: str = ""  # patterns of environment variables that every worker sees, see environment.py
    uninstalled: str = ""  # a file of requirements that were not installed
    strict: bool = False  # TorchServe to the letter

    @classmethod
    def of(cls, key: Key, version: Version, foreign: "Foreign", folder: Path, settings: "Endpoint") -> "Spec":
        """What serves `version`, as it is registered, from an archive that was read and unpacked into `folder`."""
        options = foreign.options
        return cls(
            *key,
            folder=folder,
            handler=foreign.handler,
            min_workers=version.min_workers,
            max_workers=max(version.min_workers, version.max_workers),
            batch_size=max(version.batch_size, 1),
            max_batch_delay=version.max_batch_delay,
            response_timeout=version.response_timeout,
            startup_timeout=version.startup_timeout,
            retry_timeout=options.retry_timeout or cls.retry_timeout,
            client_timeout=options.client_timeout or cls.client_timeout,
            queue_size=version.job_queue_size,
            queue_full_status=settings.queue_full_status,
            envelope=settings.service_envelope,
            max_response_bytes=settings.max_response_bytes,
            memory_mb=settings.worker_memory_mb,
            hidden=settings.hidden_variables,
            passed=settings.handler_env,
            uninstalled=foreign.uninstalled,
            strict=settings.strict,
        )

    @property
    def key(self) -> Key:
        return self.model, self.version

    def explained(self, reason: str) -> str:
        """Why the handler could not be loaded, with what may have been missing; without a full stop, as part of a sentence."""
        reason = reason.removesuffix(".")
        if not self.uninstalled or not reason.startswith(("ImportError", "ModuleNotFoundError")):
            return reason
        return f"{reason}. Its {self.uninstalled} was not installed: endpoint.allow_requirements would do that"

    def sharing(self, other: "Spec") -> bool:
        """Whether the workers of `other` can serve this."""
        return self == replace(other, min_workers=self.min_workers, max_workers=self.max_workers)
