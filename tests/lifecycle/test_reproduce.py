"""A model of the store is made again bit for bit, and one that was not made as its card says is told from it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from demlopment import archive
from demlopment.cli import app
from demlopment.data import Lake, packaged_digits
from demlopment.errors import ArchiveError, DataError
from demlopment.home import Home
from demlopment.lifecycle.forget import forget
from demlopment.lifecycle.learn import learn
from demlopment.lifecycle.provenance import environment
from demlopment.lifecycle.reproduce import TOLERANCE, reproduced
from demlopment.settings import PLACES, Settings, Training
from demlopment.training import devices
from tests.fakes import ListNarrator
from tests.lifecycle.test_learn import SHORT


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("reproduce") / "var")
    home.open()
    Lake(home.lake).add(packaged_digits())
    wherever = SHORT.training.model_copy(update={"device": "auto"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "present", lambda: ("cpu",))
        learn(home, SHORT.model_copy(update={"training": wherever}), ListNarrator())
    return home


def altered(home: Home, tmp_path: Path, **lineage: object) -> Home:
    """The same home with a card that says something else."""
    other = Home(tmp_path / "var")
    other.root.mkdir()
    (other.root / "lake").symlink_to(home.lake)
    whole = archive.read(home.models / "digits-1.0.mar")
    card = replace(whole.card, lineage={**whole.card.lineage, **lineage})
    archive.write(other.models, replace(whole, card=card))
    return other


def test_a_version_is_made_again_bit_for_bit(home: Home) -> None:
    heard: list[tuple[int, int]] = []

    found = reproduced(home, SHORT, "1.0", lambda *step: heard.append(step))

    assert found.identical
    assert found.close
    assert found.difference < 1e-5
    assert all(each.startswith("the code was edited") for each in found.changed)
    assert heard == [(1, 2), (2, 2)]


def test_a_card_that_lies_about_the_seed_is_told_and_a_changed_release_is_named(home: Home, tmp_path: Path) -> None:
    recipe = Training(epochs=2, seed=7).model_dump(mode="json", exclude=PLACES)
    other = altered(home, tmp_path, recipe=recipe, environment={**environment(), "torch": "1.0"})

    result = CliRunner().invoke(app, ["--home", str(other.root), "models", "reproduce", "1.0"])

    assert result.exit_code == 1
    assert f"beyond the tolerance of {TOLERANCE}" in result.output
    assert "Changed since: torch is " in result.output
    assert ", and was 1.0." in result.output


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"recipe": {"epochs": 0}}, "The recipe of digits 1.0 is of another release"),
        ({"digest": "0" * 64}, "learned from a snapshot .* of other rows"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(home: Home, tmp_path: Path, said: dict[str, object], problem: str) -> None:
    with pytest.raises(ArchiveError, match=problem):
        reproduced(altered(home, tmp_path, **said), SHORT, "1.0")


def test_an_archive_that_was_not_trained_here_is_refused(home: Home, tmp_path: Path) -> None:
    other = altered(home, tmp_path)
    whole = archive.read(home.models / "digits-1.0.mar")
    archive.write(other.models, replace(whole, card=replace(whole.card, lineage={}, version="2.0")))

    with pytest.raises(ArchiveError, match="does not say how it was made"):
        reproduced(other, Settings.model_construct(), "2.0")


def test_what_was_forgotten_cannot_be_learned_from_again(home: Home) -> None:
    lake = Lake(home.lake)
    key = lake.load(next(iter(lake.snapshots().values()))).keys[0]
    forget(home, lake, "key", str(key))

    with pytest.raises(DataError, match="1 were forgotten"):
        reproduced(home, SHORT, "1.0")


def test_the_card_says_on_what_it_was_made(home: Home) -> None:
    lineage = archive.read(home.models / "digits-1.0.mar").card.lineage

    assert lineage["environment"] == json.loads(json.dumps(environment()))
    assert lineage["recipe"]["epochs"] == 2
    assert lineage["recipe"]["device"] == "cpu", "what auto meant there"
