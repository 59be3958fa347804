"""What the command line, and a TorchServe snapshot, say is to be loaded stands in the state when the endpoint starts."""

import re
from pathlib import Path

import pytest

from demlopment.home import Home
from demlopment.serving import state
from demlopment.serving.configuration import startup
from demlopment.serving.configuration.snapshot import Preset
from demlopment.serving.fetch import Rules
from demlopment.serving.registration import Terms
from demlopment.serving.state import State
from demlopment.settings import Endpoint
from tests.serving.endpoint import packed


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home whose model store holds digits 1.0 and 2.0 and something broken; nothing is registered."""
    place = Home(tmp_path)
    packed(place.models, "1.0")
    packed(place.models, "2.0")
    (place.models / "broken.mar").write_text("broken")
    place.endpoint.mkdir()
    return place


def prepared(
    home: Home, load_models: str = "", snapshot: tuple[Preset, ...] = (), terms: Terms | None = None
) -> tuple[State, list[str]]:
    told: list[str] = []
    startup.prepare(home, Endpoint(load_models=load_models), snapshot, terms or Terms(), told.append)
    return state.load(state.path(home)), told


def test_all_is_every_archive_of_the_store_and_a_broken_one_is_named(home: Home) -> None:
    loaded, told = prepared(home, "all")

    assert {name: list(model.versions) for name, model in loaded.models.items()} == {"digits": ["1.0", "2.0"]}
    assert loaded.models["digits"].default == "1.0"
    assert all(version.min_workers == 1 for version in loaded.models["digits"].versions.values())
    assert len(told) == 1
    assert told[0].startswith("broken.mar is not loaded: ")


def test_a_download_that_was_interrupted_is_swept_from_a_store_outside_the_home(home: Home, tmp_path: Path) -> None:
    store = tmp_path / "elsewhere"
    store.mkdir()
    (store / "big.mar.x.1-7.partial").touch()
    (store / "mine.partial").touch()

    startup.prepare(home, Endpoint(model_store=store), (), Terms(), print)

    assert [path.name for path in store.iterdir()] == ["mine.partial"]


def test_what_all_leaves_out_is_named(home: Home) -> None:
    (home.models / "broken.mar").unlink()
    (home.models / "readme.txt").touch()
    (home.models / ".hidden").touch()
    (home.models / "folder").mkdir()

    _, told = prepared(home, "all")

    assert told == [
        "readme.txt is not loaded: it is no folder and no .mar or .tar.gz file.",
        "folder is not loaded: Model name is not defined.",
    ]


def test_a_model_may_be_loaded_under_another_name_and_one_that_is_missing_does_not_stop_the_others(home: Home) -> None:
    loaded, told = prepared(home, "none.mar, other=digits-2.0.mar ,digits-1.0.mar", terms=Terms(default_workers=3))

    assert {name: list(model.versions) for name, model in loaded.models.items()} == {"other": ["2.0"], "digits": ["1.0"]}
    assert loaded.models["other"].versions["2.0"].min_workers == 3
    assert told == ["none.mar is not loaded: Model not found at: none.mar"]


def test_loading_the_same_again_changes_nothing_and_fetches_nothing(home: Home) -> None:
    rules = Rules((re.compile(".*"),), private=True)
    first, _ = prepared(home, "all")
    address = "http://127.0.0.1:1/digits-1.0.mar"  # nobody listens there

    again, told = prepared(home, "all")
    file = state.path(home)
    file.write_bytes(file.read_bytes().replace(b'"url": "digits-1.0.mar"', f'"url": "{address}"'.encode()))
    fetched, silent = prepared(home, f"digits={address}", terms=Terms(fetching=rules))

    assert again == first
    assert len(told) == 1, "the broken one"
    assert fetched.generation == first.generation
    assert silent == []


def test_a_url_with_a_query_is_not_taken_for_a_name() -> None:
    wanted = list(startup.wanted("https://models.example/x.mar?a=b,n=https://models.example/y.mar?a=b", Path()))

    assert wanted == [
        {"url": "https://models.example/x.mar?a=b"},
        {"url": "https://models.example/y.mar?a=b", "model_name": "n"},
    ]


def test_a_snapshot_brings_up_the_same_models_and_stands_back_for_what_is_registered(home: Home) -> None:
    snapshot = (
        Preset("m", "2.0", default=True, file="digits-2.0.mar", min_workers=2, max_workers=3, batch_size=4),
        Preset("m", "1.0", file="digits-1.0.mar", min_workers=0),
        Preset("m", "3.0", file="digits-1.0.mar"),
        Preset("gone", "1.0", file="gone.mar", min_workers=1),
    )

    loaded, told = prepared(home, snapshot=snapshot)
    state.save(state.path(home), loaded.scale("m", "2.0", 1, 1))
    again, _ = prepared(home, snapshot=snapshot)

    model = loaded.models["m"]
    assert list(loaded.models) == ["m"]
    assert (model.default, sorted(model.versions)) == ("2.0", ["1.0", "2.0"])
    assert (model.versions["2.0"].min_workers, model.versions["2.0"].max_workers, model.versions["2.0"].batch_size) == (2, 3, 4)
    assert not model.versions["1.0"].served
    assert told == [
        "digits-1.0.mar is version 1.0, and the snapshot says 3.0: it is not loaded.",
        "gone.mar is not loaded: Model not found at: gone.mar",
    ]
    assert again.models["m"].versions["2.0"].min_workers == 1


def test_what_the_configuration_says_of_a_version_is_its_number_of_workers_too(home: Home) -> None:
    presets = (Preset("digits", "1.0", min_workers=2, max_workers=4, batch_size=8),)

    loaded, _ = prepared(home, "digits-1.0.mar,digits-2.0.mar", terms=Terms(presets=presets))

    first, second = loaded.models["digits"].versions.values()
    assert (first.min_workers, first.max_workers, first.batch_size) == (2, 4, 8)
    assert (second.min_workers, second.max_workers, second.batch_size) == (1, 1, 1)
