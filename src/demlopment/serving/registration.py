"""What a client asks to be registered, and whether the model store holds it. Changes no state and executes nothing.

A URL is fetched into the store first, see fetch.py; then the same rules hold as for a file that stands there.
"""

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote, urlsplit

from demlopment import archive
from demlopment.errors import ArchiveError, DemlopmentError, RequestError
from demlopment.serving import fetch
from demlopment.serving.configuration.snapshot import Preset
from demlopment.serving.fetch import Rules
from demlopment.serving.handlers import manifest, packing
from demlopment.serving.handlers.manifest import Foreign, Packages
from demlopment.serving.state import Version
from demlopment.serving.upstream import Allowed, Upstream

if TYPE_CHECKING:
    from demlopment.settings import Endpoint

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-.]{0,127}")  # torch-model-archiver's rule, so that a path can reach it
NAME_BYTES = 255  # no file system here holds a longer name
RESERVED = ("all", "traffic")  # the management port's own words where a version could stand
RUNTIMES = ("python", "python3", "LSP")
URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
INTEGERS = 2**31  # Java's int
DELAY_MS = 100  # TorchServe's default
STRICT_JSON_DELAY_MS = -10_000  # what TorchServe makes of a JSON body that does not say it


@dataclass(frozen=True)
class Terms:
    """What the settings of the same names say about registrations."""

    default_workers: int = 0
    response_timeout: int = 120  # s
    startup_timeout: int = 120  # s
    job_queue_size: int = 100
    allow_handlers: bool = False
    packages: Packages = "ignore"
    max_archive_bytes: int = 2_000_000_000  # unpacked
    strict: bool = False
    fetching: Rules = field(default_factory=Rules)
    upstreams: Allowed = field(default_factory=Allowed)
    presets: tuple[Preset, ...] = ()  # what a config.properties says of single versions, whoever registers them

    @classmethod
    def of(cls, settings: "Endpoint", presets: tuple[Preset, ...] = ()) -> Self:
        return cls(
            settings.default_workers,
            settings.response_timeout,
            settings.startup_timeout,
            settings.job_queue_size,
            settings.allow_handlers,
            manifest.packages(settings),
            settings.max_archive_bytes,
            settings.strict,
            Rules.of(settings),
            Allowed.of(settings.allowed_upstreams),
            presets,
        )


@dataclass(frozen=True)
class Registration:
    """One version that is ready to be registered: its archive has been read and verified."""

    name: str
    number: str
    version: Version
    notes: tuple[str, ...] = ()  # what of the archive has no effect, a sentence each


def verified(
    values: Mapping[str, Any], store: Path, max_workers: int, terms: Terms | None = None, *, is_json: bool = False
) -> Registration:
    """The registration that a query or a JSON object describes. Blocks while a URL is fetched.

    A file that was fetched for a registration that turns out wrong is removed again; `discard` does so for one that is
    refused, or ends, later.
    Raises RequestError with TorchServe's status and words for a parameter, a path or an archive that is wrong.
    """
    terms = terms or Terms()
    if values.get("upstream") is not None and not terms.strict:
        return _remote(values, terms)
    url = values.get("url")
    if url is None:
        raise RequestError("Parameter url is required.")
    runtime = values.get("runtime")
    if runtime is not None and runtime not in RUNTIMES:
        raise RequestError(f"Invalid RuntimeType value: {runtime}")
    workers = integer(values, "initial_workers", terms.default_workers)
    if terms.strict:
        workers = max(workers, 0)
    if not 0 <= workers <= max_workers:
        raise RequestError(f"initial_workers is {workers}.", f"Ask for 0 to {max_workers}.")
    path = _path(str(url), store, terms)
    try:
        return _read(path, values, workers, terms, is_json=is_json)
    except RequestError:
        _remove_fetched(path, str(url))
        raise


def discard(version: Version, store: Path) -> None:
    """Remove the file of a version that is no longer registered, if it was fetched, as TorchServe does."""
    if version.file:
        _remove_fetched(store / version.file, version.url)


def readable(version: Version, store: Path, terms: Terms) -> str:
    """Why the archive of a registered version cannot be served by whoever runs its code, or nothing."""
    path = store / version.file
    try:
        if version.kind == "remote":
            return "Another server answers it, and TorchServe passes nothing on."
        if version.kind == "onnx":
            archive.read(path)
        elif not terms.allow_handlers:
            return str(_unallowed(path))
        else:
            manifest.read(
                path,
                terms.max_archive_bytes,
                name=version.file,
                handler=version.handler,
                packages=terms.packages,
                strict=terms.strict,
            )
    except DemlopmentError as broken:
        return str(broken)
    return ""


def integer(values: Mapping[str, Any], name: str, default: int) -> int:
    """A whole number from a query or JSON; what cannot be read as one of 32 bits is the default, as upstream."""
    try:
        number = int(values[name])
    except (KeyError, ValueError, TypeError, OverflowError):
        return default
    return number if -INTEGERS <= number < INTEGERS else default


def boolean(values: Mapping[str, Any], name: str, *, default: bool) -> bool:
    """A truth value from a query or JSON; what is neither is false, as upstream."""
    return str(values[name]).lower() == "true" if name in values else default


def _read(path: Path, values: Mapping[str, Any], workers: int, terms: Terms, *, is_json: bool) -> Registration:
    if _is_foreign(path):
        return _foreign(path, values, workers, terms, is_json=is_json)
    try:
        card = archive.read(path).card
    except ArchiveError as broken:
        if terms.strict and "model_name" not in values and not zipfile.is_zipfile(path):
            raise RequestError("Model name is not defined.", status=400, kind="InvalidModelException") from broken
        problem = broken.problem.replace(f"{path.parent}/", "")  # where the store lies is no client's business
        raise RequestError(problem, broken.remedy, status=400, kind="InvalidModelException") from broken
    name = str(values.get("model_name") or card.name)
    _check_names(name, card.version)
    asked = _preset(values, name, card.version, terms)
    return Registration(name, card.version, _version(path, asked, workers, terms, is_json=is_json))


def _remote(values: Mapping[str, Any], terms: Terms) -> Registration:
    """A version that another server answers; it has no archive, and no workers but the serving processes that ask."""
    upstream = Upstream.at(str(values["upstream"]))
    terms.upstreams.refuse(upstream.url)
    name, number = str(values.get("model_name") or upstream.model), str(values.get("version") or upstream.version or "")
    if not number:
        raise RequestError("Parameter version is required.", "Name the version that this upstream is here.")
    _check_names(name, number)
    seconds = _timeout(values, "response_timeout", terms.response_timeout)
    version = Version("", upstream.url, 1, 1, response_timeout=max(seconds, 1), kind="remote")
    return Registration(name, number, version)


def _check_names(*names: str) -> None:
    for text in names:
        if not NAME.fullmatch(text) or text in RESERVED:
            raise RequestError(
                f"{text!r} cannot be the name of a model or a version.", "Use letters, digits, '_', '-' and '.'."
            )


def _preset(values: Mapping[str, Any], name: str, number: str, terms: Terms) -> Mapping[str, Any]:
    preset = next((each for each in terms.presets if (each.model, each.version) == (name, number)), None)
    return {**values, **(preset.limits if preset else {})}


def _version(path: Path, asked: Mapping[str, Any], workers: int, terms: Terms, *, is_json: bool) -> Version:
    delay = STRICT_JSON_DELAY_MS if terms.strict and is_json else DELAY_MS
    version = Version(
        file=path.name,
        url=str(asked["url"]),
        min_workers=workers,
        max_workers=workers,
        batch_size=integer(asked, "batch_size", 1),
        max_batch_delay=integer(asked, "max_batch_delay", delay),
        response_timeout=_timeout(asked, "response_timeout", terms.response_timeout),
        startup_timeout=_timeout(asked, "startup_timeout", terms.startup_timeout),
        job_queue_size=terms.job_queue_size,
    )
    if version.batch_size < 1 and not terms.strict:
        raise RequestError(f"batch_size is {version.batch_size}.", "Ask for 1 or more.")
    if version.max_batch_delay < 0 and not terms.strict:
        raise RequestError(f"max_batch_delay is {version.max_batch_delay}.", "Ask for 0 or more milliseconds.")
    return version


def _timeout(asked: Mapping[str, Any], name: str, default: int) -> int:
    seconds = integer(asked, name, default)
    return seconds if seconds >= 0 else default  # TorchServe's clients send -1 for "the default"


def _path(url: str, store: Path, terms: Terms) -> Path:
    if not url:
        raise _not_found("empty url")
    if ".." in url:
        raise _not_found(f"Relative path is not allowed in url: {url}")
    scheme = URL.match(url)
    if scheme is None:
        return _local(url, url.rpartition("/")[2], store)
    if scheme[1].lower() in ("http", "https"):
        return fetch.fetched(url, store, terms.fetching)
    return _from_file_url(url, store, strict=terms.strict)


def _local(url: str, name: str, store: Path) -> Path:
    path = store / name
    if len(path.name.encode(errors="replace")) > NAME_BYTES:
        raise _not_found(f"Model not found at: {url}")
    # A link may not lead out of the store; what is no file of its own name in it does not exist for us.
    if (
        "\0" in name
        or path.name in ("", ".", "..")
        or not (path.is_file() or path.is_dir())
        or path.resolve().parent != store.resolve()
    ):
        raise _not_found(f"Model not found at: {url}")
    return path


def _from_file_url(url: str, store: Path, *, strict: bool) -> Path:
    """A file that the URL says stands in the store itself; whatever else there is on this machine is nobody's business."""
    refused = _not_found(f"Given URL {url} does not match any allowed URL(s)")
    try:
        parts = urlsplit(url)
    except ValueError as broken:
        raise refused from broken
    folder, _, name = unquote(parts.path).rpartition("/")
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or "\0" in folder or "/" in name:
        raise refused
    if Path(folder or "/") not in (store.absolute(), store.resolve()):
        raise refused
    path = _local(url, name, store)
    if strict:  # TorchServe would fetch it into the store
        raise RequestError(f"Model file already exists {name}", status=500, kind="InternalServerException")
    return path


def _is_foreign(path: Path) -> bool:
    """Whether an archive is not one of ours but, perhaps, one of TorchServe's with a Python handler."""
    if not packing.is_zip(path):
        return True
    try:
        with zipfile.ZipFile(path) as file:
            return archive.SUMS not in file.namelist() and archive.CARD not in file.namelist()
    except archive.BROKEN:
        return False


def _foreign(path: Path, values: Mapping[str, Any], workers: int, terms: Terms, *, is_json: bool) -> Registration:
    handler = str(values.get("handler") or "")
    found = manifest.read(
        path,
        terms.max_archive_bytes,
        name=str(values.get("model_name") or ""),
        handler=handler,
        packages=terms.packages,
        strict=terms.strict,
    )
    if not terms.allow_handlers:
        raise _unallowed(path)
    _check_names(found.name, found.version)
    asked = _preset(values, found.name, found.version, terms)
    version = replace(_version(path, asked, workers, terms, is_json=is_json), kind="handler", handler=handler)
    return Registration(found.name, found.version, found.options.over(version), _notes(found))


def _unallowed(path: Path) -> RequestError:
    return RequestError(
        f"{path.name} runs a Python handler, and handlers are not allowed.",
        "Set endpoint.allow_handlers if you trust whoever wrote it.",
        status=400,
        kind="InvalidModelException",
    )


def _notes(found: Foreign) -> tuple[str, ...]:
    notes = [f"{found.path.name}: {key} of its model-config.yaml is not supported and has no effect." for key in found.ignored]
    if found.uninstalled:
        notes.append(
            f"{found.path.name}: the packages in its {found.uninstalled} stay uninstalled: endpoint.allow_requirements is off."
        )
    return tuple(notes)


def _remove_fetched(path: Path, url: str) -> None:
    if url.lower().startswith(("http://", "https://")):
        path.unlink(missing_ok=True)


def _not_found(problem: str) -> RequestError:
    return RequestError(problem, status=404, kind="ModelNotFoundException")
