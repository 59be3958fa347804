"""TorchServe's options of `demlopment serve`, and its config.properties, in terms of our settings. Starts nothing."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from demlopment import __version__
from demlopment.commands.place import home_of, settings_of
from demlopment.commands.saying import say
from demlopment.errors import SettingsError

if TYPE_CHECKING:
    from demlopment.serving.configuration.properties import Configuration
    from demlopment.settings import Settings


@dataclass(frozen=True)
class Configured:
    """The settings with TorchServe's file below and its options on top, and what only the file can say."""

    settings: "Settings"
    file: "Configuration"


def show_version() -> None:
    say(f"demlopment {__version__}")


def stop(context: typer.Context) -> None:
    """End the endpoint of this home; that none runs is no failure, as with TorchServe."""
    from demlopment.serving import ending

    home = home_of(settings_of(context))
    ended = ending.stop(home)
    say(f"The endpoint of {home.root} has stopped." if ended else f"No endpoint is running on {home.root}.")


def given(
    *, engine: str | None, model_store: Path | None, models: list[str], disable_token_auth: bool, enable_model_api: bool
) -> dict[str, Any]:
    """What the options say, as settings of the endpoint; an option that was not given says nothing."""
    said: dict[str, Any] = {} if engine is None else {"engine": engine}
    if model_store is not None:
        said["model_store"] = _existing(model_store, "--model-store")
    if models:
        everything = [model.lower() for model in models] == ["all"]
        said["load_models"] = "all" if everything else ",".join(models)
    if disable_token_auth:
        said["token_authorization"] = False
    if enable_model_api:
        said["enable_model_api"] = True
    return said


def configured(context: typer.Context, ts_config: Path | None, options: dict[str, Any]) -> Configured:
    """Options win over our own settings, from wherever they come, and these over TorchServe's file."""
    from demlopment import settings
    from demlopment.serving.configuration import properties

    path = properties.located(os.environ, ts_config, Path())
    file = properties.Configuration({}) if path is None else read(path)
    ours = settings_of(context).endpoint
    explicit = {name: getattr(ours, name) for name in ours.model_fields_set}
    chosen = settings.load(**context.obj, endpoint={**file.endpoint, **explicit, **options})
    followed = file.unfollowed if chosen.endpoint.engine == "torchserve" else ()
    for warning in file.warnings:
        if warning not in followed:
            warn(warning)
    if chosen.endpoint.model_store is not None:
        _existing(chosen.endpoint.model_store, "model_store" if "model_store" not in explicit else "endpoint.model_store")
    return Configured(chosen, file)


def read(path: Path) -> "Configuration":
    """What one of TorchServe's files says, a snapshot of its too."""
    from demlopment.serving.configuration import properties

    if not path.is_file():
        raise SettingsError(f"{path} is not a file.", "Name one of TorchServe's own.")
    say(f"Reading {path}.", err=True)
    return properties.configuration(properties.decoded(path.read_bytes()), str(path), os.environ)


def _existing(store: Path, said_by: str) -> Path:
    if not store.is_dir():
        raise SettingsError(f"The model store {store} is not a folder.", f"Create it, or correct {said_by}.")
    return store


def warn(sentence: str) -> None:
    """One line to standard error."""
    say(f"Warning: {sentence}", err=True)
