"""Whether the arms of a traffic plan can be compared. Reads archives; changes nothing and executes nothing."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from demlopment import archive
from demlopment.errors import ArchiveError, RequestError
from demlopment.records import TrafficPlan
from demlopment.serving.state import Version

WORDS = {"handler": "Python code", "remote": "another server's"}


class Model(NamedTuple):
    """What decides the answers of a version."""

    digest: str  # SHA-256 of the network, of a handler's whole archive, or of another server's address
    temperature: float
    classes: tuple[str, ...] | None  # None: nobody knows those of a handler or of another server


def refuse_unlike(plan: TrafficPlan, versions: Mapping[str, Version], store: Path) -> None:
    """Raise RequestError, 409, for arms of other classes, or that answer alike though the plan is no A/A test.

    Versions that are not there are somebody else's to refuse. Raises ArchiveError for an archive that is damaged.
    """
    arms = {number: _model(store / versions[number].file, versions[number]) for number in plan.versions if number in versions}
    control = arms.get(plan.control)
    if control is None:
        return
    coded = [number for number in arms if versions[number].kind == "handler"]
    coded += [number for number in plan.shadows if number in arms and versions[number].kind == "remote"]
    if plan.shadows and coded:
        raise _conflict(
            f"Version {coded[0]} of model {plan.model} is {WORDS[versions[coded[0]].kind]}, and the plan has shadows.",
            "Shadows are networks, and see the pictures that others were asked: leave them out, or compare versions of ours.",
        )
    for number, arm in list(arms.items())[1:]:
        if None not in (arm.classes, control.classes) and arm.classes != control.classes:
            raise _conflict(
                f"Versions {plan.control} and {number} of model {plan.model} have the classes {_listed(control.classes)} and "
                f"{_listed(arm.classes)}.",
                "Compare versions that tell the same classes apart.",
            )
    alike = [number for number, arm in arms.items() if list(arms.values()).count(arm) > 1]
    if len(plan.versions) > len(set(plan.versions)):
        alike = [number for number in plan.versions if plan.versions.count(number) > 1]
    if alike and not plan.a_a:
        raise _conflict(
            f"Versions {alike[0]} and {alike[-1]} of model {plan.model} are the same model: their answers cannot differ.",
            "Compare others, or set a_a to true to try the split itself.",
        )


def _model(path: Path, version: Version) -> Model:
    if version.kind == "remote":
        return Model(hashlib.sha256(version.url.encode()).hexdigest(), 1.0, None)
    if version.kind == "handler":
        try:
            return Model(hashlib.sha256(path.read_bytes()).hexdigest(), 1.0, None)
        except OSError as error:
            raise ArchiveError(f"{path} cannot be read: {error.strerror}.", "Put the archive back.") from error
    read = archive.read(path)
    return Model(hashlib.sha256(read.network).hexdigest(), read.card.temperature, read.card.classes)


def _conflict(problem: str, remedy: str) -> RequestError:
    return RequestError(problem, remedy, status=409, kind="ConflictStatusException")


def _listed(classes: tuple[str, ...] | None) -> str:
    return ",".join(classes or ())[:80]
