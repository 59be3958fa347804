"""A model card says the same in both forms, of promoted and refused candidates, and is found again whatever else is gone."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from demlopment.cli import app
from demlopment.data import Lake, packaged_digits, split
from demlopment.evaluation.slices import TOO_FEW
from demlopment.home import Home
from demlopment.lifecycle import cards
from demlopment.lifecycle.history import History
from demlopment.lifecycle.learn import learn
from demlopment.lifecycle.markdown import markdown
from demlopment.lifecycle.modelcard import limits
from demlopment.lifecycle.provenance import commit, edited
from demlopment.records import Check
from demlopment.training import MlflowTracker
from tests.fakes import ListNarrator
from tests.lifecycle.test_learn import LAX, SHORT

NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e-?\d+)?(?![\w.]*\w)")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with a champion, and a candidate that was refused for its size."""
    home = Home(tmp_path_factory.mktemp("modelcard") / "var")
    home.open()
    Lake(home.lake).add(packaged_digits())
    learn(home, SHORT, ListNarrator())
    small = LAX.model_copy(update={"most_kilobytes": 1})
    learn(home, SHORT.model_copy(update={"evaluation": small}), ListNarrator())
    return home


def shown(home: Home, *words: str) -> Any:
    return CliRunner().invoke(app, ["--home", str(home.root), "models", "card", *words])


def leaves(value: Any) -> Iterator[Any]:
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from leaves(each)
    if not isinstance(value, dict | list):
        yield value


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_every_number_of_one_form_is_in_the_other(home: Home, version: str) -> None:
    card = cards.read(home, version)
    page, said = (home.cards / f"digits-{version}.md").read_text(), (home.cards / f"digits-{version}.json").read_text()

    numbers = {str(leaf) for leaf in leaves(card) if type(leaf) in (int, float)}
    assert len(numbers) > 200
    assert numbers <= set(NUMBER.findall(page))
    assert set(NUMBER.findall(page)) - set(NUMBER.findall(said)) == set()
    assert page == markdown(card)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_every_text_of_the_json_is_on_the_page(home: Home, version: str) -> None:
    card = cards.read(home, version)
    page = markdown(card).replace("\\", "")

    absent = [leaf for leaf in leaves(card) if isinstance(leaf, str) and " ".join(leaf.split()) not in page]
    assert not absent


def test_the_card_says_what_the_lake_the_history_and_the_checkout_say(home: Home) -> None:
    card, lake = cards.read(home, "1.0"), Lake(home.lake)
    snapshot = lake.named(card["data"]["snapshot"])
    parts = split(lake.load(snapshot), snapshot.salt)
    verdict = History(home.history).entries()[0].verdict

    assert card["data"]["rows"]["test"] == len(parts.test)
    assert sum(rows["train"] for rows in card["data"]["rows_per_class"].values()) == len(parts.train)
    assert [(each["source"], each["rows"]) for each in card["data"]["sources"]] == [("mnist-5k", snapshot.rows)]
    assert "CC BY-SA" in card["data"]["sources"][0]["licence"]
    assert (card["code"]["commit"], card["code"]["edited"]) == (commit(), edited())
    assert card["decision"]["reason"] == verdict.reason
    assert [check["name"] for check in card["results"]] == [check["name"] for check in verdict.evidence["checks"]]
    groups = {check["group"] for check in card["results"]}
    assert groups == {"training", "held-out", "calibration", "slices", "behaviour", "robustness", "cost"}
    assert card["training"]["recipe"]["seed"] == 1


def test_a_refused_candidate_has_a_card_with_what_it_misses(home: Home) -> None:
    card = cards.read(home, "2.0")

    assert (card["decision"]["decision"], card["decision"]["missed"][0]) == ("refuse", "network")
    assert card["limits"][0] == "It misses the bound of network."
    assert not (home.models / "digits-2.0.mar").exists()


def test_what_it_fails_is_among_its_limits() -> None:
    checks = [
        Check("training", "leaks between the parts", 3, None, 0, least=False, rows=10),
        Check("held-out", "accuracy", 0.99, None, 0.9, least=True, rows=100),
        Check("calibration", "fields", 0.0, None, None, least=True, rows=100, note="nothing is proved: it takes 2995 rows"),
        Check("slices", "class 7", 0.91234, None, 0.5, least=True, rows=40),
        Check("slices", "class 1", 0.95, None, 0.5, least=True, rows=40),
        Check("slices", "writer ann", 1.0, None, None, least=True, rows=4, note=TOO_FEW),
        Check("slices", "class 7 against digits 1.0", -0.1, None, None, least=True, rows=4, note=TOO_FEW),
        Check("behaviour", "refusal: blank paper", 0.95, None, None, least=False, rows=1),
        Check("behaviour", "refusal: noise", 0.7, None, None, least=False, rows=100),
        Check("behaviour", "refusal: letters", 0.7, None, 0.9, least=False, rows=100),
        Check("robustness", "stripe", 0.9, None, None, least=False, rows=100),
        Check("robustness", "shear", 0.05, None, 0.7, least=False, rows=100),
    ]

    assert limits(checks, "Its code was edited.") == [
        "It misses the bound of leaks between the parts.",
        "It is sure of what shows none of its classes, blank paper: to 0.95 on average.",
        "Nothing holds it to being unsure of noise (0.7).",
        "It errs on a share of 0.9 of pictures with stripe.",
        "It is worst in class 7: 0.9123 of 40 rows are right.",
        "Too few rows tell how it reads: writer ann.",
        "fields: nothing is proved: it takes 2995 rows.",
        "Its code was edited.",
    ]


def test_a_fitted_network_has_its_limits_said(home: Home) -> None:
    said = " ".join(cards.read(home, "1.0")["limits"])

    assert all(each in said for each in ("blank paper", "full ink", "noise", "stripe", "nothing is proved"))


def test_both_forms_are_artefacts_of_the_run(home: Home) -> None:
    tracker = MlflowTracker(f"sqlite:///{home.tracking.resolve()}", home.artifacts)

    files = {each.path for each in tracker.client.list_artifacts(str(tracker.run("digits", "2.0")))}

    assert {"digits-2.0.json", "digits-2.0.md", "digits-2.0.mar"} <= files


def test_writing_the_same_card_again_gives_the_same_bytes(home: Home, tmp_path: Path) -> None:
    other = Home(tmp_path)

    written = cards.write(other, cards.read(home, "1.0"))

    assert [path.read_bytes() for path in written] == [(home.cards / path.name).read_bytes() for path in written]


def test_the_command_shows_either_form_also_when_run_archive_and_lake_are_gone(home: Home, tmp_path: Path) -> None:
    alone = Home(tmp_path / "var")
    shutil.copytree(home.cards, alone.cards)

    page, said = shown(alone, "1.0"), shown(alone, "1.0", "--json")

    assert page.output.startswith("# Model card of digits 1.0\n")
    assert json.loads(said.output) == cards.read(home, "1.0")
    assert not alone.tracking.exists(), "looking makes nothing"


@pytest.mark.parametrize("version", ["9.0", "../cards/digits-1.0", "*", ""])
def test_an_unknown_version_is_answered_with_those_that_there_are(home: Home, version: str) -> None:
    answer = shown(home, version)

    assert answer.exit_code != 0
    assert f"no model card of the version {version!r}. Those that there are: 1.0, 2.0." in str(answer.exception)


def test_of_many_versions_the_newest_are_named(home: Home, tmp_path: Path) -> None:
    other = Home(tmp_path / "var")
    other.cards.mkdir(parents=True)
    for number in range(1, 15):
        (other.cards / f"digits-{number}.0.json").touch()

    assert "5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0 and 4 older ones." in str(shown(other, "0.0").exception)


def test_before_the_first_model_it_says_how_to_get_one(tmp_path: Path) -> None:
    assert "There is none yet: run `demlopment train`." in str(shown(Home(tmp_path / "var"), "1.0").exception)


def test_an_archive_from_elsewhere_is_told_from_no_model(home: Home, tmp_path: Path) -> None:
    other = Home(tmp_path / "var")
    shutil.copytree(home.models, other.models)

    assert "See how it does with `demlopment models test 1.0`." in str(shown(other, "1.0").exception)


@pytest.mark.parametrize("damaged", [b"", b"[]", b"{}", b'{"format": 99}', b"\xff"])
def test_a_damaged_card_is_named(home: Home, tmp_path: Path, damaged: bytes) -> None:
    other = Home(tmp_path / "var")
    shutil.copytree(home.cards, other.cards)
    (other.cards / "digits-1.0.json").write_bytes(damaged)

    assert "digits-1.0.json is not a model card of this release." in str(shown(other, "1.0").exception)


def test_a_name_that_would_steer_markdown_stays_a_name(home: Home) -> None:
    card = cards.read(home, "1.0")
    card["data"]["sources"][0]["source"] = "a|b\n# c <script> `d` [e](f)"

    page = markdown(card)

    assert "| a\\|b \\# c \\<script\\> \\`d\\` \\[e\\](f) |" in page


def of_ann(home: Home, tmp_path: Path) -> tuple[Home, dict[str, Any]]:
    """A home with one card that names a writer and a source wherever a card can, and a copy among the artefacts."""
    other, card = Home(tmp_path / "var"), cards.read(home, "1.0")
    (row,) = [each for each in card["results"] if each["name"] == "source mnist-5k"]
    card["data"]["snapshot"] = "both"
    card["data"]["sources"].append({"source": "file:ann", "licence": "none", "rows": 40})
    named = ["writer ann", "writer ann-marie", "source file:ann", "source file:ann against digits 0.0"]
    card["results"] += [{**row, "name": name} for name in named]
    card["results"][0]["note"] = "same writer: writer ann in train and test; same pixels: 002488d86348 in both"
    card["limits"] += ["It is worst in writer ann: 0.5 of 40 rows are right.", "Too few rows: source file:ann."]
    card["decision"] |= {"missed": ["writer ann"], "reason": "It misses the bound of source file:ann."}
    cards.write(other, card)
    copies = Home(other.root / "elsewhere")
    for path in cards.write(copies, card):
        (other.artifacts / "1" / "run").mkdir(parents=True, exist_ok=True)
        path.rename(other.artifacts / "1" / "run" / path.name)
    return other, card


@pytest.mark.parametrize(
    ("column", "value", "words", "kept"),
    [
        ("writer", "ann", ["writer ann "], ["writer ann-marie", "source file:ann"]),
        ("source", "file:ann", ["file:ann"], ["writer ann", "writer ann-marie", "mnist-5k"]),
        ("key", "002488d86348" + "0" * 52, ["002488d86348"], ["writer ann", "source file:ann"]),
    ],
)
def test_a_card_names_nobody_who_was_forgotten_and_says_that_rows_were(
    column: Any, value: str, words: list[str], kept: list[str], home: Home, tmp_path: Path
) -> None:
    other, before = of_ann(home, tmp_path)
    files = [path for path in other.root.rglob("digits-1.0.*") if path.suffix in {".json", ".md"}]

    elsewhere, here = (cards.forget(other, column, value, gone) for gone in ({"another": 3}, {"both": 40}))
    once, again = cards.read(other, "1.0"), cards.forget(other, column, value, {"both": 40})

    assert (len(files), elsewhere, here, again) == (4, 0, 1, 0)
    for path in files:
        page = path.read_text().replace("\\", "")
        assert not [word for word in words if word in page]
        assert all(word in page for word in kept)
    assert once["data"]["forgotten"] == 40
    assert "| rows forgotten since | 40 |" in (other.cards / "digits-1.0.md").read_text()
    assert once["data"]["rows"] == before["data"]["rows"], "what it learned from is what it learned from"
    assert {each["name"] for each in once["results"]} >= {"source mnist-5k", "accuracy"}


def test_a_card_that_nobody_can_read_keeps_nobody_from_being_forgotten(home: Home, tmp_path: Path) -> None:
    other, _ = of_ann(home, tmp_path)
    (other.cards / "digits-2.0.json").write_text("{")

    assert cards.forget(other, "writer", "ann", {"both": 40}) == 1
