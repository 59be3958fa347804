"""What a client asks to be registered, and whether the model store holds it. Changes nothing and executes nothing."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demlopment import archive
from demlopment.archive import Card
from demlopment.errors import ArchiveError, RequestError
from demlopment.serving.state import Version

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-.]{0,127}")  # torch-model-archiver's rule, so that a path can reach it
NAME_BYTES = 255  # no file system here holds a longer name
RESERVED = ("all", "traffic")  # the management port's own words where a version could stand
RUNTIMES = ("python", "python3", "LSP")


@dataclass(frozen=True)
class Registration:
    """One version that is ready to be registered: its archive has been read and verified."""

    name: str
    number: str
    version: Version


def verified(values: Mapping[str, Any], store: Path, max_workers: int) -> Registration:
    """The registration that a query or a JSON object describes.

    Raises RequestError with TorchServe's status and words for a parameter, a path or an archive that is wrong.
    """
    url = values.get("url")
    if url is None:
        raise RequestError("Parameter url is required.")
    runtime = values.get("runtime")
    if runtime is not None and runtime not in RUNTIMES:
        raise RequestError(f"Invalid RuntimeType value: {runtime}")
    workers = integer(values, "initial_workers", 0)
    if not 0 <= workers <= max_workers:
        raise RequestError(f"initial_workers is {workers}.", f"Ask for 0 to {max_workers}.")
    path = _path(str(url), store)
    card = _card(path)
    name = str(values.get("model_name") or card.name)
    for text in (name, card.version):
        if not NAME.fullmatch(text) or text in RESERVED:
            raise RequestError(
                f"{text!r} cannot be the name of a model or a version.", "Use letters, digits, '_', '-' and '.'."
            )
    return Registration(
        name,
        card.version,
        Version(
            file=path.name,
            url=str(url),
            min_workers=workers,
            max_workers=workers,
            batch_size=integer(values, "batch_size", 1),
            max_batch_delay=integer(values, "max_batch_delay", 100),
            response_timeout=integer(values, "response_timeout", 120),
            startup_timeout=integer(values, "startup_timeout", 120),
        ),
    )


def integer(values: Mapping[str, Any], name: str, default: int) -> int:
    """A whole number from a query or JSON; what cannot be read as one is the default, as upstream."""
    try:
        return int(values[name])
    except (KeyError, ValueError, TypeError, OverflowError):
        return default


def boolean(values: Mapping[str, Any], name: str, *, default: bool) -> bool:
    """A truth value from a query or JSON; what is neither is false, as upstream."""
    return str(values[name]).lower() == "true" if name in values else default


def _path(url: str, store: Path) -> Path:
    if not url:
        raise _not_found("empty url")
    if ".." in url:
        raise _not_found(f"Relative path is not allowed in url: {url}")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", url):
        raise _not_found(f"Given URL {url} does not match any allowed URL(s)")
    path = store / url.rpartition("/")[2]
    if len(path.name.encode(errors="replace")) > NAME_BYTES:
        raise _not_found(f"Model not found at: {url}")
    # A link may not lead out of the store; what is no file of its own name in it does not exist for us.
    if "\0" in url or path.name in ("", ".") or not path.is_file() or path.resolve().parent != store.resolve():
        raise _not_found(f"Model not found at: {url}")
    return path


def _card(path: Path) -> Card:
    try:
        return archive.read(path).card
    except ArchiveError as broken:
        raise RequestError(broken.problem, broken.remedy, status=400, kind="InvalidModelException") from broken


def _not_found(problem: str) -> RequestError:
    return RequestError(problem, status=404, kind="ModelNotFoundException")
