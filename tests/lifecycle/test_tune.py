"""A search on real digits: by the command, with runs and a page; and the best recipe in the next training."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from demlopment import archive
from demlopment.cli import app
from demlopment.data import Lake, RawRows, packaged_digits
from demlopment.errors import DataError
from demlopment.home import Home
from demlopment.lifecycle.history import History
from demlopment.lifecycle.learn import learn
from demlopment.lifecycle.workshop import tracker_of
from demlopment.records import Trial
from demlopment.settings import Training
from demlopment.training import studies
from tests.fakes import ListNarrator
from tests.lifecycle.test_learn import SHORT


def searched(home: Home, *options: str) -> Result:
    return CliRunner().invoke(app, ["--home", str(home.root), "search", "spring", "--epochs", "1", *options])


def told(result: Result) -> list[str]:
    """What was said at the end: a slow machine also says in between how far it has come."""
    return [line for line in result.stdout.splitlines() if not line.startswith("Search spring:")]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("tune") / "var")
    home.open()
    Lake(home.lake).add(packaged_digits())
    return home


@pytest.fixture(scope="module")
def result(home: Home) -> Result:
    return searched(home, "--trials", "2")


@pytest.fixture(scope="module")
def best(home: Home, result: Result) -> Trial:
    assert result.exit_code == 0, (result.output, result.exception)
    return studies.best(home, None, "spring")


def test_the_command_names_the_best_recipe_and_writes_a_page(home: Home, result: Result, best: Trial) -> None:
    page = (home.report / "search-spring.html").read_text()

    assert f"Trial {best.number} of the study spring is the best of 2 (2 complete)" in result.stdout
    assert f"learning_rate  {best.parameters['learning_rate']:g}" in result.stdout
    assert result.stdout.rstrip().endswith("search-spring.html")
    assert "<svg" in page
    assert "src=" not in page
    assert "Too few trials are complete to tell what mattered." in page
    assert Lake(home.lake).named("search-spring").rows == 5000


@pytest.mark.parametrize("rule", ["warn", "stop"])
def test_a_snapshot_that_is_not_as_expected_is_remarked_upon_or_not_searched(
    tmp_path: Path, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, rows = Home(tmp_path / "var"), packaged_digits()
    home.open()
    Lake(home.lake).add(RawRows(rows.name, rows.sha256, rows.frame.gather_every(10)))
    monkeypatch.setenv("DEMLOPMENT_DATA__MOST_INK", "0.1")
    monkeypatch.setenv("DEMLOPMENT_DATA__UNEXPECTED", rule)

    result = searched(home, "--trials", "1")

    (entry,) = History(home.history).entries()
    assert (entry.verdict.kind, entry.verdict.subject) == ("data", "search-spring")
    assert entry.verdict.decision == {"stop": "refuse", "warn": "continue"}[rule]
    if rule == "stop":
        assert isinstance(result.exception, DataError)
        assert "is not as expected: the mean ink is" in str(result.exception)
        assert not home.studies.exists()
    else:
        assert result.exit_code == 0, (result.output, result.exception)
        assert "Warning: the mean ink is 0.13" in result.stdout


def test_each_trial_is_a_tracked_run(home: Home, best: Trial) -> None:
    tracker = tracker_of(home, Training())

    runs = {run.info.run_name: run for run in tracker.client.search_runs([tracker.experiment])}

    assert set(runs) == {"spring 0", "spring 1"}
    assert runs[f"spring {best.number}"].info.run_id == best.run
    assert runs[f"spring {best.number}"].data.metrics["log_loss"] == best.value
    assert runs[f"spring {best.number}"].data.params["state"] == "complete"


def test_a_finished_search_runs_nothing_again_and_another_one_is_refused(home: Home, result: Result, best: Trial) -> None:
    kept = (home.studies / "spring.log").read_bytes()
    space = home.root / "space.toml"
    space.write_text("batch_size = { choices = [16, 32] }\n")

    again, other = searched(home, "--trials", "2"), searched(home, "--space", str(space))

    assert told(again) == told(result)
    assert isinstance(other.exception, DataError)
    assert "The study spring is of another search space" in str(other.exception)
    assert (home.studies / "spring.log").read_bytes() == kept


def test_the_next_training_takes_the_best_recipe_by_the_name_of_its_search(home: Home, best: Trial) -> None:
    with pytest.raises(DataError, match=r"no study autumn\. Those that there are: spring"):
        learn(home, SHORT, ListNarrator(), study="autumn")
    narrator = ListNarrator()

    verdict = learn(home, SHORT, narrator, study="spring")

    card = archive.read(home.models / "digits-1.0.mar").card
    tracker = tracker_of(home, Training())
    run = tracker.client.get_run(str(tracker.run("digits", "1.0")))
    assert verdict.decision == "promote"
    assert (card.lineage["study"], card.lineage["trial"]) == ("spring", best.number)
    assert run.data.params["learning_rate"] == str(best.parameters["learning_rate"])
    assert any(f"The recipe is trial {best.number} of the study spring." in said for _, said in narrator.heard)
