"""TorchServe's config.properties as settings of ours. Decides nothing: what has no place here is named in a warning.

The keys themselves stand in keys.py. docs/torchserve.md has the same table; a test keeps them equal.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from demlopment.errors import SettingsError
from demlopment.serving.configuration.entries import MalformedError, entries
from demlopment.serving.configuration.keys import (
    BOOLEANS,
    FIXED,
    KEYS,
    NOT_VARIABLES,
    ODD_VARIABLES,
    OWN,
    PORTS,
    SAME,
    UNSUPPORTED,
)
from demlopment.serving.configuration.snapshot import Preset, models, snapshot
from demlopment.settings import Endpoint

DEFAULT_FILE = "config.properties"
LONG = 200  # characters; a snapshot is not shown in a message
VARIABLE = re.compile(r"\$\$([^$]+)\$\$")  # $$NAME$$ in a value is an environment variable


@dataclass(frozen=True)
class Said:
    """One value, and where it stands."""

    key: str
    value: str
    place: str  # "config.properties, line 3" or "the variable TS_JOB_QUEUE_SIZE"


@dataclass(frozen=True)
class Configuration:
    """What a config.properties asks for, in our words."""

    endpoint: Mapping[str, Any]  # settings of settings.Endpoint, checked one by one
    snapshot: tuple[Preset, ...] = ()  # versions to register at start
    presets: tuple[Preset, ...] = ()  # what `models` says of versions, whenever they are registered
    warnings: tuple[str, ...] = ()  # one sentence or two about each key that is not followed to the letter
    others: Mapping[str, str] = field(default_factory=dict)  # what only the real TorchServe can follow, in its own keys
    unfollowed: tuple[str, ...] = ()  # those of the warnings that are about these


@dataclass
class Reading:
    """What has been understood so far."""

    endpoint: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    others: dict[str, str] = field(default_factory=dict)
    unfollowed: list[str] = field(default_factory=list)

    def leave(self, said: Said, why: str = "") -> None:
        """Keep what only TorchServe can follow; `why` we do not, if it makes a difference."""
        self.others[said.key] = said.value
        if why:
            self.warn(said, why)
            self.unfollowed.append(self.warnings[-1])

    def warn(self, said: Said, why: str) -> None:
        self.warnings.append(f"{said.place}: {said.key} is not followed: {why}.")

    def set(self, said: Said, setting: str, value: Any) -> None:
        """Keep a value that the setting can hold. Raises SettingsError naming the place otherwise."""
        try:
            self.endpoint[setting] = getattr(Endpoint.model_validate({setting: value}), setting)
        except ValidationError as wrong:
            raise _unfit(said, wrong.errors()[0]["msg"]) from wrong


def located(environment: Mapping[str, str], given: Path | None, folder: Path) -> Path | None:
    """The file to read: TS_CONFIG_FILE, what the command line gave, or config.properties in the working directory.

    Raises SettingsError if one is named and is not there.
    """
    named = Path(environment["TS_CONFIG_FILE"]) if environment.get("TS_CONFIG_FILE") else given
    if named is None:
        usual = folder / DEFAULT_FILE
        return usual if usual.is_file() else None
    if not named.is_file():
        raise SettingsError(f"The configuration {named} is not a file.", "Correct --ts-config or TS_CONFIG_FILE.")
    return named


def decoded(content: bytes) -> str:
    """The text of a file. Java reads Latin-1, but TorchServe's own launcher reads the model store's path as UTF-8."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")


def configuration(text: str, name: str, environment: Mapping[str, str]) -> Configuration:
    """What the file `name` with the content `text` asks for.

    Raises SettingsError naming the file and the line of a value that cannot be used.
    """
    reading = Reading()
    said = _overridden(_read(text, name, environment, reading), environment)
    for each in said.values():
        if each.key in SAME:
            reading.set(each, SAME[each.key], _value(each))
        elif each.key in FIXED:
            only, why = FIXED[each.key]
            reading.leave(each, why if each.value.strip().lower() != only else "")
        elif each.key in UNSUPPORTED:
            reading.leave(each, UNSUPPORTED[each.key])
        elif each.key not in OWN:
            reading.leave(each, _unknown(each.key))
        elif each.key == "models":
            reading.leave(each)
    _expressions(said, reading)
    _addresses(said, reading)
    _authorization(said, reading)
    _metrics(said, reading)
    presets = _presets(said, reading)
    return Configuration(reading.endpoint, *presets, tuple(reading.warnings), reading.others, tuple(reading.unfollowed))


def _read(text: str, name: str, environment: Mapping[str, str], reading: Reading) -> dict[str, Said]:
    said: dict[str, Said] = {}
    try:
        for entry in entries(text):
            if entry.key in said:
                reading.warn(said[entry.key], f"line {entry.line} gives another value")
            place = f"{name}, line {entry.line}"
            said[entry.key] = Said(entry.key, _with_variables(entry.value, place, environment), place)
    except MalformedError as broken:
        raise SettingsError(f"{name}, line {broken.line}: \\u without four hexadecimal digits.", "Correct it.") from broken
    return said


def _with_variables(value: str, place: str, environment: Mapping[str, str]) -> str:
    def content(match: re.Match[str]) -> str:
        if match[1] not in environment:
            raise SettingsError(f"{place}: the variable {match[1]} is not set.", "Set it, or write its value.")
        return environment[match[1]]

    return VARIABLE.sub(content, value)


def _overridden(said: dict[str, Said], environment: Mapping[str, str]) -> dict[str, Said]:
    """With `enable_envvars_config`, what TorchServe's variables say wins over the file."""
    if not _asked(said, "enable_envvars_config"):
        return said
    variables = {ODD_VARIABLES.get(key, f"TS_{key.upper().removeprefix('TS_')}"): key for key in KEYS - NOT_VARIABLES}
    if not _asked(said, "use_env_allowed_urls"):
        del variables["TS_ALLOWED_URLS"]
    named = {
        key: Said(key, environment[name], f"the variable {name}") for name, key in variables.items() if name in environment
    }
    return {**said, **named}


def _value(said: Said) -> Any:
    text = said.value.strip()
    if said.key == "ts_open_inference_protocol" and text == "oip":  # the word that TorchServe takes from the environment
        return True
    if said.key == "load_models" and text.lower() == "all":
        return "all"
    return _boolean(said) if said.key in BOOLEANS else text


def _boolean(said: Said) -> bool:
    text = said.value.strip().lower()
    if text not in ("true", "false"):
        raise _unfit(said, "it is neither true nor false")
    return text == "true"


def _asked(said: Mapping[str, Said], key: str) -> bool:
    return key in said and _boolean(said[key])


def _expressions(said: Mapping[str, Said], reading: Reading) -> None:
    for key in {"allowed_urls", "blacklist_env_vars"} & set(said):
        for expression in said[key].value.split(",") if key == "allowed_urls" else [said[key].value]:
            try:
                re.compile(expression)
            except re.error as broken:
                raise _unfit(said[key], f"{expression} is not a regular expression ({broken})") from broken


def _addresses(said: Mapping[str, Said], reading: Reading) -> None:
    hosts, schemes = {}, {}
    for port, (_, http, https) in PORTS.items():
        given = said.get(f"{port}_address")
        if given is None:
            hosts[port] = "127.0.0.1"
            continue
        schemes[port], hosts[port], number = _address(given)
        default = https if schemes[port] == "https" else http
        reading.set(given, f"{port}_port", default if number is None else number)
    if not schemes:
        _tls(said, reading, wanted=False)
        return
    reading.endpoint["host"] = hosts["inference"]
    for port in ("management", "metrics"):
        if hosts[port] != hosts["inference"]:
            reading.endpoint[f"{port}_host"] = hosts[port]
    if len(set(schemes.values())) > 1:
        raise _unfit(
            said[f"{min(schemes)}_address"], "either all ports speak TLS here or none", "Give all addresses one scheme."
        )
    _tls(said, reading, wanted="https" in schemes.values())


def _address(said: Said) -> tuple[str, str, int | None]:
    text = said.value.strip()
    try:
        parts = urlsplit(text)
        scheme, host, number = parts.scheme.lower(), parts.hostname, parts.port
    except ValueError as broken:
        raise _unfit(said, str(broken)) from broken
    if scheme not in ("http", "https") or not host or parts.path not in ("", "/") or "@" in parts.netloc:
        raise _unfit(said, "it is not http://HOST:PORT or https://HOST:PORT")
    return scheme, host, number


def _tls(said: Mapping[str, Said], reading: Reading, *, wanted: bool) -> None:
    given = [said[key] for key in ("certificate_file", "private_key_file") if key in said]
    if not wanted:
        for each in given:
            reading.warn(each, "no address begins with https://")
        return
    if len(given) < 2:
        address = next(said[f"{port}_address"] for port in PORTS if f"{port}_address" in said)
        raise _unfit(address, "https needs certificate_file and private_key_file", "Name both as PEM files.")
    for each in given:
        reading.set(each, each.key, each.value.strip())
    for port, (usual, *_) in PORTS.items():
        if f"{port}_address" not in said:
            reading.warnings.append(f"{given[0].place}: port {usual} for {port} speaks TLS too, as the other addresses do.")


def _authorization(said: Mapping[str, Said], reading: Reading) -> None:
    key = "disable_token_authorization"
    if key in said:
        reading.endpoint["token_authorization"] = not _boolean(said[key])


def _metrics(said: Mapping[str, Said], reading: Reading) -> None:
    mode = said.get("metrics_mode")
    if mode is not None and mode.value.strip().lower() != "prometheus":
        reading.leave(mode, "metrics are served in Prometheus' format on the metrics port, whatever the mode")


def _presets(said: Mapping[str, Said], reading: Reading) -> tuple[tuple[Preset, ...], tuple[Preset, ...]]:
    found: list[tuple[Preset, ...]] = []
    for key, read in (("model_snapshot", snapshot), ("models", models)):
        try:
            presets = read(said[key].value) if key in said else ()
        except ValueError as broken:
            raise _unfit(
                said[key], str(broken), "Correct the JSON; a backslash ends each of its lines but the last."
            ) from broken
        found.append(presets)
        for preset in presets:
            for name in preset.unknown:
                reading.warn(said[key], f"{name} of {preset.model} {preset.version} is not supported")
    if found[0] and "load_models" in said:
        reading.warn(said["load_models"], "the file has a model_snapshot, which says what to load")
        del reading.endpoint["load_models"]
    return found[0], found[1]


def _unknown(key: str) -> str:
    close: Iterable[str] = difflib.get_close_matches(key, sorted(KEYS), n=1)
    return "TorchServe has no such key" + "".join(f", but {name}" for name in close)


def _unfit(said: Said, why: str, remedy: str = "Correct it.") -> SettingsError:
    shown = "" if len(said.value) > LONG else f" {said.value.strip()!r}"
    return SettingsError(f"{said.place}: {said.key} cannot be{shown}: {why}.", remedy)
