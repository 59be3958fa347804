"""The loop by hand on one home: the first candidate becomes champion, an equal one is refused, and a version can be crowned."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from demlopment.data import Lake, packaged_digits
from demlopment.data.doubted import COLUMNS
from demlopment.errors import ArchiveError, DataError
from demlopment.home import Home
from demlopment.lifecycle.history import History
from demlopment.lifecycle.learn import crown, learn
from demlopment.settings import Data, Evaluation, Gate, Settings, Training
from demlopment.training import MlflowTracker, checkpoint
from tests.fakes import ListNarrator

LAX = Evaluation(
    behaviour="tell", least_slice=0, most_calibration_error=1, most_doubted_labels=1, most_milliseconds=10_000
)  # two epochs are no good model
SHORT = Settings.model_construct(training=Training(epochs=2), gate=Gate(minimum_accuracy=0.2), evaluation=LAX)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("learn") / "var")
    home.open()
    Lake(home.lake).add(packaged_digits())
    return home


def served(home: Home) -> tuple[str, list[str]]:
    """The default version and all that are registered."""
    model = json.loads((home.endpoint / "state.json").read_text())["models"]["digits"]
    return model["default"], sorted(model["versions"])


def test_an_empty_lake_is_named(tmp_path: Path) -> None:
    empty = Home(tmp_path / "var")
    empty.open()

    with pytest.raises(DataError, match="holds no examples"):
        learn(empty, SHORT, ListNarrator())


def test_the_first_candidate_is_champion_and_an_equal_one_is_refused(home: Home) -> None:
    narrator, lake = ListNarrator(), Lake(home.lake)
    key, label = lake.now(pl.col("row") == 0, ("key", "label")).row(0)
    lake.doubted.add(pl.DataFrame([(key, label, "9", -0.5, "all")], schema=COLUMNS, orient="row"))
    wary = SHORT.model_copy(update={"data": Data(least_class_share=0.2)})

    first, second = learn(home, SHORT, narrator), learn(home, wary, narrator)

    assert [(verdict.decision, verdict.subject, verdict.against) for verdict in (first, second)] == [
        ("promote", "digits 1.0", ""),
        ("refuse", "digits 2.0", "digits 1.0"),
    ]
    assert served(home) == ("1.0", ["1.0"])
    assert [entry.verdict.kind for entry in History(home.history).entries()] == ["gate", "data", "gate"]
    warned = ["Warning: the share of the rarest class is 0.1, expected 0.2 to 1." in said for _, said in narrator.heard]
    assert warned.count(True) == 1, "only of the second, which expected more"
    assert any("1 labels wait for `demlopment data review`." in said for _, said in narrator.heard)


class StoppedError(Exception):
    """What happens in the middle of a fit."""


class Stopping(ListNarrator):
    """Hears of two epochs, and stops whoever tells it."""

    def progress(self, done: int, total: int) -> None:
        super().progress(done, total)
        if done == 2:
            raise StoppedError


def test_a_candidate_whose_fit_was_stopped_goes_on_where_it_stood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, learned = Home(tmp_path / "var"), list[int]()
    home.open()
    Lake(home.lake).add(packaged_digits())
    longer = SHORT.model_copy(update={"training": Training(epochs=3)})
    with pytest.raises(StoppedError):
        learn(home, longer, Stopping())
    left = home.checkpoint.exists()
    save = checkpoint.save

    def counted(path: Path, identity: str, state: Mapping[str, Any]) -> None:
        learned.append(len(state["curve"]))
        save(path, identity, state)

    monkeypatch.setattr(checkpoint, "save", counted)
    narrator = ListNarrator()

    learn(home, longer, narrator)

    assert left
    assert learned == [3]
    assert [said for kind, said in narrator.heard if kind == "progress"][:3] == ["1/3", "2/3", "3/3"]
    assert not home.checkpoint.exists()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_registration_that_was_interrupted_leaves_everything_as_it_was(
    home: Home, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    register = MlflowTracker.register

    def interrupted(tracker: MlflowTracker, name: str, version: str, run: str) -> None:
        if moment == "after":
            register(tracker, name, version, run)
        raise StoppedError

    def state() -> tuple[object, ...]:
        tracker = MlflowTracker(f"sqlite:///{home.tracking.resolve()}", home.artifacts)
        stored = {path.name: path.read_bytes() for path in home.models.iterdir()}
        return tracker.champion("digits"), served(home), stored, len(History(home.history).entries())

    before = state()
    monkeypatch.setattr(MlflowTracker, "register", interrupted)

    with pytest.raises(StoppedError):
        learn(home, SHORT, ListNarrator())

    assert state() == before
    assert before[0] == "1.0", "the next test takes the version that was not finished"


def test_a_better_one_is_challenger_and_answers_nobody_until_it_is_crowned(home: Home) -> None:
    longer = Settings.model_construct(training=Training(epochs=12), gate=Gate())

    verdict = learn(home, longer, ListNarrator())

    assert (verdict.decision, verdict.subject) == ("promote", "digits 3.0")
    assert served(home) == ("1.0", ["1.0", "3.0"])

    crown(home, longer, "3.0")

    assert served(home) == ("3.0", ["3.0"])
    with pytest.raises(ArchiveError, match=r"digits-9\.0\.mar does not exist"):
        crown(home, longer, "9.0")
