"""A foreign archive: what it says of itself, and its folder. Executes nothing, and writes nothing before all is verified.

Its name, version and handler come from MAR-INF/MANIFEST.json; without one, a name must be given.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from demlopment.errors import ArchiveError, RequestError
from demlopment.home import explained
from demlopment.serving.handlers import folders, members, options
from demlopment.serving.handlers.members import Contents
from demlopment.serving.handlers.options import Options
from demlopment.serving.handlers.packing import BadMemberError

if TYPE_CHECKING:
    from demlopment.settings import Endpoint

MANIFEST = "MAR-INF/MANIFEST.json"
MAX_TEXT = 1_000_000  # bytes of a manifest or a model-config.yaml; a large one has a few thousand
DEFAULT_HANDLER = "default_service_handler"
DEFAULT_VERSION = "1.0"
RUNTIMES = ("python", "python3")
PACKAGES = ".packages"  # of an archive's folder: what its requirements name
INSTALL_SECONDS = 600.0  # torch alone has 200 MB

Packages = Literal["install", "ignore", "refuse"]  # what becomes of an archive that names requirements


@dataclass(frozen=True)
class Foreign:
    """A verified archive with a Python handler."""

    path: Path
    digest: str  # SHA-256 of the file, hexadecimal
    name: str
    version: str
    handler: str
    requirements: str  # the file with what is to be installed, or nothing
    uninstalled: str  # such a file that is ignored, or nothing
    options: Options
    ignored: tuple[str, ...]  # keys of its model-config.yaml that are not applied


def read(
    path: Path, limit: int, *, name: str = "", handler: str = "", packages: Packages = "ignore", strict: bool = False
) -> Foreign:
    """The archive at `path`, which unpacks to `limit` bytes at most; `name` and `handler`, if given, win over the manifest's.

    Raises RequestError with TorchServe's words: for a name that nobody gives, a manifest or a model-config.yaml that
    cannot be read, a runtime that is not Python, requirements where `packages` refuses them, and members that must not be
    unpacked, which a `strict` endpoint calls its own fault, as upstream.
    """
    try:
        with members.opened(path, limit) as contents:
            return _described(path, contents, name, handler, packages)
    except BadMemberError as bad:
        raise _unsaved(path, bad, strict=strict) from bad
    except ArchiveError as broken:
        # Upstream looks for a manifest in a file that is no zip, and finds no name.
        nameless = strict and not name
        raise _invalid("Model name is not defined.") if nameless else _invalid(broken.problem, broken.remedy) from broken


def packages(settings: "Endpoint") -> Packages:
    """What `settings` say of requirements: they are somebody's programs, so nothing is installed unless that is allowed."""
    if settings.allow_requirements:
        return "install"
    return "refuse" if settings.install_requirements else "ignore"


def unpack(foreign: Foreign, root: Path, limit: int) -> Path:
    """A new folder below `root` with the archive's members, and what its requirements name beside them.

    Raises RequestError if the file has changed since it was read or a requirement cannot be installed, HomeError for a disk
    that takes nothing more. Takes as long as the installation; what a kill in the middle leaves is swept by the next run.
    """
    with explained(root):
        folder = folders.fresh(root, f"{foreign.name}-{foreign.version}")
        try:
            members.unpack(foreign.path, foreign.digest, folder, limit)
            if foreign.requirements:
                shutil.copytree(_installed(foreign, root, folder), folder / PACKAGES, symlinks=True)
        except ArchiveError as broken:
            folders.remove(folder)
            raise _invalid(broken.problem, broken.remedy) from broken
        except BaseException:
            folders.remove(folder)
            raise
    return folder


def _described(path: Path, contents: Contents, name: str, handler: str, packages: Packages) -> Foreign:
    values = _manifest(contents)
    model = values.get("model", {})
    if not isinstance(model, Mapping):
        raise _invalid("Failed to parse signature.json.")
    named = _text(model, "modelName")
    name = name or named
    if not name:
        raise _invalid("Model name is not defined.")
    runtime = _text(values, "runtime") or "python"
    if runtime not in RUNTIMES:
        raise RequestError(f"Invalid RuntimeType value: {runtime}")
    wanted = _text(model, "requirementsFile")
    if wanted and packages == "refuse":
        raise _invalid(f"{path.name} asks for packages in {wanted!r}.", "Set endpoint.allow_requirements to install them.")
    config = _text(model, "configFile")
    found, ignored = _options(contents, config) if config else (Options(), ())
    return Foreign(
        path=path,
        digest=contents.digest,
        name=name,
        version=_text(model, "modelVersion") or DEFAULT_VERSION,
        handler=handler or _text(model, "handler") or DEFAULT_HANDLER,
        requirements=_member(contents, wanted) if wanted and packages == "install" else "",
        uninstalled=wanted if packages == "ignore" else "",
        options=found,
        ignored=ignored,
    )


def _manifest(contents: Contents) -> Mapping[str, Any]:
    if MANIFEST not in contents.files:
        return {}
    try:
        # A number where a text is due is its text, as upstream reads it: version 1.0 is "1.0".
        values = json.loads(_content(contents, MANIFEST), parse_int=str, parse_float=str)
    except (ValueError, RecursionError) as broken:
        raise _invalid("Failed to parse signature.json.") from broken
    if not isinstance(values, Mapping):
        raise _invalid("Failed to parse signature.json.")
    return values


def _options(contents: Contents, name: str) -> tuple[Options, tuple[str, ...]]:
    try:
        return options.read(_content(contents, _member(contents, name)))
    except ArchiveError as broken:
        raise _invalid(broken.problem, broken.remedy) from broken


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    if value is not None and not isinstance(value, str):
        raise _invalid("Failed to parse signature.json.")
    return value or ""


def _member(contents: Contents, name: str) -> str:
    # The archiver writes the path of its own machine here, and the file flat.
    for candidate in (name, PurePosixPath(name).name):
        if candidate in contents.files:
            return candidate
    raise _invalid(f"The archive has no {name!r}, which its manifest names.", "Write the archive again.")


def _content(contents: Contents, name: str) -> bytes:
    size = contents.files[name].size
    if size > MAX_TEXT:
        raise _invalid(f"{name} has {size} bytes.", f"The limit is {MAX_TEXT}.")
    return contents.read(name)


def installed(digest: str, root: Path) -> Path:
    """Where the packages of an archive are kept, so that the next run of the endpoint needs no network."""
    return root / folders.INSTALLED / digest


def _installed(foreign: Foreign, root: Path, folder: Path) -> Path:
    """The packages of an archive that lies in `folder`, installed unless they are there."""
    place = installed(foreign.digest, root)
    if not place.is_dir():
        unfinished = place.with_name(f"{place.name}.{folder.name}{folders.UNFINISHED}")
        try:
            _install(folder, foreign.requirements, unfinished)
            if not place.is_dir():
                unfinished.rename(place)
        finally:
            folders.remove(unfinished)
    return place


def _install(folder: Path, requirements: str, target: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    try:
        subprocess.run(
            [*command, "--upgrade", "--target", str(target), "-r", requirements],
            cwd=folder,
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
        )
    except (subprocess.SubprocessError, OSError) as failed:
        said = getattr(failed, "stderr", None) or str(failed)
        last = said.strip().splitlines()[-1:] or ["it ended without a word"]
        reason = last[0].removesuffix(".")
        raise _invalid(f"The packages in {requirements!r} cannot be installed: {reason}.", "Correct the file.") from failed
    target.mkdir(parents=True, exist_ok=True)  # an empty list of requirements


def _unsaved(path: Path, bad: BadMemberError, *, strict: bool) -> RequestError:
    if strict:
        return RequestError(f"Failed to save model: {path.name}", status=500, kind="InternalServerException")
    return _invalid(f"Failed to save model: {bad.problem}", bad.remedy)


def _invalid(problem: str, remedy: str = "") -> RequestError:
    return RequestError(problem, remedy, kind="InvalidModelException")
