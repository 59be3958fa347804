"""Our settings and what is registered, as TorchServe's config.properties. The opposite of configuration/; starts nothing."""

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from demlopment.serving import tokens
from demlopment.serving.configuration.keys import SAME
from demlopment.serving.state import NUMBERS, State, Version

if TYPE_CHECKING:
    from demlopment.settings import Endpoint

OURS = ("model_store", "load_models", "default_workers_per_model", "allowed_urls")  # said below, each in its own way
NOWHERE = "(?!)"  # a regular expression that nothing matches
UNNAMED = ("version", "tsConfigFile", "python", "model_server_home")  # a snapshot's notes, and what its launcher says


def properties(
    settings: "Endpoint", store: str, ports: Mapping[str, int], state: State, others: Mapping[str, str]
) -> dict[str, str]:
    """Every key that TorchServe is started with: `ports` are the numbers of its five ports, `others` pass unchanged.

    The file says everything, so that no default of TorchServe's, and no variable, decides behind it.
    """
    same = {key: getattr(settings, name) for key, name in SAME.items() if key not in OURS}
    said = {key: _said(value) for key, value in same.items() if value not in ("", None)}
    said |= {
        "model_store": store,
        "allowed_urls": settings.allowed_urls or NOWHERE,
        "disable_token_authorization": _said(not tokens.required(settings, tokens.static(settings))),
        "metrics_mode": "prometheus",
        "grpc_inference_port": str(ports["grpc_inference"]),
        "grpc_management_port": str(ports["grpc_management"]),
        "load_models": ",".join(f"{name}={version.file}" for (name, _), version in _defaults_first(state)),
        "models": json.dumps(models(state, others.get("models", "{}"))),
    }
    if settings.default_workers:
        said["default_workers_per_model"] = str(settings.default_workers)
    return said | _addresses(settings, ports) | {key: value for key, value in others.items() if key not in (*UNNAMED, "models")}


def models(state: State, others: str) -> dict[str, dict[str, Any]]:
    """TorchServe's key `models`: the numbers of what is registered, on top of what the user's own file says of others.

    It is given `load_models` with them and no snapshot, for one archive that cannot be restored would keep it from starting.
    """
    said: dict[str, dict[str, Any]] = json.loads(others)
    for (name, number), version in state.versions.items():
        said.setdefault(name, {})[number] = _version(version, default=number == state.models[name].default)
    return said


def _defaults_first(state: State) -> list[tuple[tuple[str, str], Version]]:
    """What is registered; of each model the default version first, which so becomes TorchServe's."""
    return sorted(state.versions.items(), key=lambda each: each[0][1] != state.models[each[0][0]].default)


def text(values: Mapping[str, str]) -> str:
    """A Java properties file."""
    return "".join(f"{key}={escaped(value)}\n" for key, value in values.items())


def escaped(value: str) -> str:
    r"""A value as java.util.Properties reads it: ASCII in one line, with escapes.

    >>> print(escaped(" a\\d Größe"))
    \ a\\d Gr\u00f6\u00dfe
    """
    return "".join(map(_escaped, value)) if not value.startswith(" ") else "\\ " + escaped(value[1:])


def _escaped(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if " " <= character <= "~":
        return character
    units = character.encode("utf-16-be", "surrogatepass")  # Java's characters are halves of UTF-16
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _version(version: Version, *, default: bool) -> dict[str, Any]:
    numbers = {theirs: getattr(version, ours) for theirs, ours in NUMBERS.items()}
    return {"defaultVersion": default, "marName": version.file, **numbers}


def _addresses(settings: "Endpoint", ports: Mapping[str, int]) -> dict[str, str]:
    secure = settings.certificate_file is not None
    hosts = {
        "inference": settings.host,
        "management": settings.management_host or settings.host,
        "metrics": settings.metrics_host or settings.host,
    }
    said = {
        f"{port}_address": f"{'https' if secure else 'http'}://{_bracketed(host)}:{ports[port]}" for port, host in hosts.items()
    }
    if secure:
        files: Iterable[str] = ("certificate_file", "private_key_file")
        said |= {name: str(path.absolute()) for name in files if (path := getattr(settings, name)) is not None}
    return said


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _said(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
