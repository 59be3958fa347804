"""A fit that begins with the champion's weights: its card says so, it is made again, and other classes are refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from demlopment import archive
from demlopment.archive import Archive
from demlopment.data import Lake, packaged_digits
from demlopment.errors import ArchiveError, DataError
from demlopment.home import Home
from demlopment.lifecycle import warm
from demlopment.lifecycle.history import History
from demlopment.lifecycle.learn import learn
from demlopment.lifecycle.reproduce import reproduced
from demlopment.settings import Settings, Training
from tests.fakes import ListNarrator
from tests.lifecycle.test_learn import SHORT

WARM = Training(epochs=6, warm_start=True)


@pytest.fixture(scope="module")
def told() -> ListNarrator:
    return ListNarrator()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, told: ListNarrator) -> Home:
    """A champion that began anew, although it was asked not to, and one that began with it."""
    home = Home(tmp_path_factory.mktemp("warm") / "var")
    home.open()
    Lake(home.lake).add(packaged_digits())
    for epochs in (2, 6):
        learn(home, asked(WARM.model_copy(update={"epochs": epochs})), told)
    return home


def asked(recipe: Training) -> Settings:
    return SHORT.model_copy(update={"training": recipe})


def model(home: Home, version: str) -> Archive:
    return archive.read(home.models / f"digits-{version}.mar")


def test_the_first_begins_anew_and_the_next_says_with_whose_weights_it_began(home: Home, told: ListNarrator) -> None:
    first, second = (model(home, version).card.lineage for version in ("1.0", "2.0"))

    assert warm.BEGUN not in first
    assert second[warm.BEGUN] == warm.lineage(model(home, "1.0"))[warm.BEGUN]
    assert [entry.verdict.decision for entry in History(home.history).entries()] == ["promote", "promote"]
    judged = [said for kind, said in told.heard if kind == "end" and said.startswith("Fit to everything")]
    assert ["It began with the weights of digits 1.0." in said for said in judged] == [False, True]


def test_what_began_with_the_champion_is_made_again_bit_for_bit(home: Home) -> None:
    assert reproduced(home, SHORT, "2.0").identical


def copied(home: Home, tmp_path: Path, *versions: str) -> Home:
    other = Home(tmp_path / "var")
    other.root.mkdir()
    (other.root / "lake").symlink_to(home.lake)
    for version in versions:
        archive.write(other.models, model(home, version))
    return other


def test_without_the_champion_it_is_not_made_again(home: Home, tmp_path: Path) -> None:
    alone = copied(home, tmp_path, "2.0")

    with pytest.raises(
        ArchiveError, match=r"digits 2\.0 began with the weights of digits 1\.0, and .*digits-1\.0\.mar does not"
    ):
        reproduced(alone, SHORT, "2.0")

    archive.write(alone.models, replace(model(home, "1.0"), network=b"another"))
    with pytest.raises(ArchiveError, match=r"digits-1\.0\.mar holds another network\. Put that archive back"):
        reproduced(alone, SHORT, "2.0")


@pytest.mark.parametrize("classes", [tuple("012345678"), tuple("1023456789"), tuple("0123456789A")])
def test_a_champion_of_other_classes_or_another_order_is_refused_in_two_sentences(home: Home, classes: tuple[str, ...]) -> None:
    with pytest.raises(DataError) as refused:
        warm.beginning(WARM, model(home, "1.0"), classes)

    assert "The champion digits 1.0 has the classes 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, and a fit to " in refused.value.problem
    assert ", ".join(classes) in refused.value.problem
    assert refused.value.remedy == "Set training.warm_start to false for this fit."


def test_nobody_begins_warm_who_was_not_asked_to(home: Home) -> None:
    assert warm.beginning(Training(), model(home, "1.0"), ("a", "b")) is None
    assert warm.beginning(WARM, None, ("a", "b")) is None
