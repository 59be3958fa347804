"""`demlopment migrate`: bring what a TorchServe serves into this home."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from demlopment.commands.place import home_of, settings_of
from demlopment.commands.saying import say
from demlopment.errors import DataError

if TYPE_CHECKING:
    from demlopment.serving.configuration.migration import Migration
    from demlopment.serving.configuration.properties import Configuration


def migrate(
    context: typer.Context,
    ts_config: Annotated[Path | None, typer.Option(help="TorchServe's config.properties.")] = None,
    model_store: Annotated[Path | None, typer.Option(help="Its model store, if not the one that the file names.")] = None,
    snapshot: Annotated[
        Path | None, typer.Option(help="One of its snapshots, or the folder logs/config, whose newest is taken.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would come over, and what would not.")] = False,
) -> None:
    """Bring the models of a TorchServe here: archives, versions, the default one, workers, batch sizes; say what differs.

    Leaves with 1 if a version could not be brought over.

    Example: demlopment migrate --snapshot logs/config --dry-run
    """
    from demlopment.commands import torchserve
    from demlopment.home import Home
    from demlopment.serving.configuration.migration import Source
    from demlopment.serving.configuration.migration import migrate as move
    from demlopment.serving.registration import Terms

    taken = None if snapshot is None else _newest(snapshot)
    given = torchserve.given(engine=None, model_store=model_store, models=[], disable_token_auth=False, enable_model_api=False)
    configured = torchserve.configured(context, ts_config or taken, given)
    found = configured.file if taken is None or ts_config is None else torchserve.read(taken)
    chosen = configured.settings.endpoint
    if chosen.model_store is None:
        raise DataError("Nothing says where TorchServe's archives are.", "Give --model-store, or a file that names it.")
    if not found.snapshot and not chosen.load_models:
        raise DataError("Nothing says which models TorchServe serves.", "Give --snapshot, such as logs/config of its folder.")
    source = Source(chosen.model_store, found.snapshot, "" if found.snapshot else chosen.load_models)
    home = Home(configured.settings.home, configured.settings.data.lake) if dry_run else home_of(configured.settings)
    ours = settings_of(context).endpoint
    terms = Terms.of(chosen, configured.file.presets)
    moved = move(home, ours.model_store or home.models, source, terms, say, dry=dry_run)
    _show(moved, configured.file, dry=dry_run)
    if moved.lacking:
        raise typer.Exit(1)


def _newest(snapshot: Path) -> Path:
    """The file itself, or the newest snapshot of a folder."""
    if snapshot.is_file():
        return snapshot
    if not snapshot.is_dir():
        raise DataError(f"The snapshot {snapshot} is neither a file nor a folder.", "Correct --snapshot.")
    found = sorted(snapshot.glob("*.cfg"))  # their names begin with the time
    if not found:
        raise DataError(f"{snapshot} holds no snapshot of TorchServe.", "Name a .cfg file, or the folder that holds some.")
    return found[-1]


def _show(moved: "Migration", file: "Configuration", *, dry: bool) -> None:
    """The versions that came, the settings to keep, and how many did not come."""
    for (model, number), version in moved.brought.items():
        default = ", the default" if moved.after.models[model].default == number else ""
        workers = "1 worker" if version.min_workers == 1 else f"{version.min_workers} workers"
        say(f"{model} {number}  {version.file}  {workers}, batches of {version.batch_size}{default}")
    for name in moved.lacking:
        say(f"{name}  is not brought over")
    settings = {name: value for name, value in file.endpoint.items() if name not in ("model_store", "load_models")}
    if settings:
        say("Its file asks for these settings; keep them in demlopment.toml:")
        say("\n".join(["[endpoint]", *(f"{name} = {_toml(value)}" for name, value in sorted(settings.items()))]))
    alone = len(moved.brought) == 1
    come = "would come over" if dry else "has come over" if alone else "have come over"
    say(f"{len(moved.brought)} version{'' if alone else 's'} {come}, {len(moved.lacking)} cannot.")


def _toml(value: Any) -> str:
    return json.dumps(value if isinstance(value, bool | int | float) else str(value))
