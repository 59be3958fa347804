"""Every link from an answer to the files behind it is the one that was made, and a lost link is named."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from demlopment import archive, images
from demlopment.archive import Archive, Card
from demlopment.cli import app
from demlopment.commands.rows import moment
from demlopment.data import Answers, Lake, RawRows, packaged_digits, returned, split
from demlopment.data.reviews import Review
from demlopment.errors import DataError
from demlopment.home import Home
from demlopment.lifecycle.compact import compact
from demlopment.lifecycle.forget import forget
from demlopment.lifecycle.lineage import ancestry, descent
from demlopment.records import Prediction, Snapshot
from demlopment.serving.journal import Journal
from demlopment.settings import Endpoint
from tests.fakes import MemoryTracker
from tests.serving.test_journal import prediction

SALT = "demlopment-1"
CAME_BACK = np.full((1, 28, 28), np.eye(28, k=1) * 255).astype(np.uint8)  # falls into the training part


@pytest.fixture(scope="module")
def few() -> RawRows:
    rows = packaged_digits()
    return RawRows(rows.name, rows.sha256, rows.frame.gather_every(50))


def trained(home: Home, version: str, snapshot: Snapshot, tracker: MemoryTracker, **lineage: object) -> Path:
    """An archive that says it learned from that snapshot, and its run."""
    lineage |= {"snapshot": snapshot.name, "digest": snapshot.digest, "commit": f"commit-{version}"}
    card = Card("digits", version, tuple("0123456789"), images.VERSION, 1.0, {}, lineage)
    path = archive.write(home.models, Archive(card, b"network", {}, b"sample"))
    run = tracker.record(f"digits {version}", {}, [], {}, path, commit=f"commit-{version}", edited=False)
    tracker.register("digits", version, run)
    return path


def answered(home: Home, *answers: Prediction) -> None:
    journal = Journal(home.endpoint / "journal", name="test")
    journal.record(list(answers))
    journal.close()


@pytest.fixture(params=["folder", "s3"])
def world(request: pytest.FixtureRequest, few: RawRows, tmp_path: Path) -> tuple[Home, MemoryTracker]:
    """Model 1.0 learned from the packaged digits; 2.0 also from one that came back; each has answered once."""
    address = request.getfixturevalue("s3") if request.param == "s3" else str(tmp_path / "lake")
    request.getfixturevalue("monkeypatch").setenv("DEMLOPMENT_DATA__LAKE", address)
    home = Home(tmp_path, address)
    tracker = MemoryTracker()
    lake = Lake(home.lake)
    lake.add(few)
    trained(home, "1.0", lake.pin("before", SALT), tracker)
    lake.add(returned(CAME_BACK, ["1"], ["asked-1"]))
    trained(home, "2.0", lake.pin("after", SALT), tracker)
    answered(home, prediction("asked-1"), prediction("asked-2")._replace(version="2.0"))
    return home, tracker


@pytest.mark.parametrize("in_the_lake", [False, True])
def test_an_answer_leads_back_to_every_link(world: tuple[Home, MemoryTracker], few: RawRows, *, in_the_lake: bool) -> None:
    home, tracker = world
    if in_the_lake:
        compact(home, Answers(home.lake), Endpoint())

    (found,) = ancestry(home, Lake(home.lake), tracker, "asked-2")

    lake = Lake(home.lake)
    learned = split(lake.load(lake.named("after")), SALT).train
    assert (found.model, found.version, found.said) == ("digits", "2.0", "7")
    assert found.archive == str(home.models / "digits-2.0.mar")
    assert (found.run, found.commit) == (tracker.run("digits", "2.0"), "commit-2.0")
    assert found.snapshot == lake.named("after")
    assert found.missing == ()
    assert {each.source: (each.files, each.requests) for each in found.taught} == {
        "feedback": ((), ("asked-1",)),
        "mnist-5k": ((few.sha256,), ()),
    }
    assert sum(each.rows for each in found.taught) == len(learned)


def test_lost_links_are_named(world: tuple[Home, MemoryTracker]) -> None:
    home, _ = world
    (home.models / "digits-1.0.mar").unlink()
    (home.models / "digits-2.0.mar").write_bytes(b"broken")

    (found,) = ancestry(home, Lake(home.lake), None, "asked-1")

    assert (found.archive, found.run, found.snapshot, found.taught) == (None, None, None, ())
    assert len(found.missing) == 3


def test_a_request_that_nobody_answered_is_refused(world: tuple[Home, MemoryTracker]) -> None:
    home, tracker = world

    with pytest.raises(DataError, match="'never'"):
        ancestry(home, Lake(home.lake), tracker, "never")


def test_a_source_leads_forward_to_the_models_that_had_it_and_to_no_other(world: tuple[Home, MemoryTracker]) -> None:
    home, _ = world

    found, packaged = descent(home, Lake(home.lake), "source", "feedback"), descent(home, Lake(home.lake), "source", "mnist-5k")

    assert (found.rows, found.snapshots) == (1, {"after": 1})
    assert [(each.version, each.learned, each.predictions) for each in found.models] == [("2.0", 1, 1)]
    assert packaged.snapshots == {"before": 100, "after": 100}
    assert [each.version for each in packaged.models] == ["1.0", "2.0"]


def test_a_model_that_began_with_one_that_learned_from_the_rows_is_touched_too(world: tuple[Home, MemoryTracker]) -> None:
    home, tracker = world
    before = Lake(home.lake).named("before")
    trained(home, "3.0", before, tracker, begun_with={"version": "2.0"})
    trained(home, "4.0", before, tracker, begun_with={"version": "3.0"})
    trained(home, "5.0", before, tracker, begun_with={"version": "1.0"})

    found = descent(home, Lake(home.lake), "source", "feedback")
    done = forget(home, Lake(home.lake), "source", "feedback")

    assert [(each.version, each.learned, each.began_with) for each in found.models] == [
        ("2.0", 1, None),
        ("3.0", 0, "2.0"),
        ("4.0", 0, "3.0"),
    ]
    assert [Path(path).stem for path in done.models] == ["digits-2.0", "digits-3.0", "digits-4.0"]


def test_a_row_leads_forward_to_the_requests_that_showed_it(world: tuple[Home, MemoryTracker]) -> None:
    home, _ = world
    (key,) = Lake(home.lake).entries(Lake(home.lake).named("after")).filter(source="feedback")["key"]
    answered(home, prediction("asked-3")._replace(digest=key))

    found = descent(home, Lake(home.lake), "key", key)

    assert (found.rows, found.predictions) == (1, ("asked-3",))
    with pytest.raises(DataError, match="no row with the key"):
        descent(home, Lake(home.lake), "key", "0" * 64)


def test_a_row_is_told_with_the_run_that_brought_it_and_what_people_said_of_it(world: tuple[Home, MemoryTracker]) -> None:
    home, _ = world
    lake = Lake(home.lake)
    (key,) = lake.entries(lake.named("after")).filter(source="feedback")["key"]
    lake.reviews.add([Review(key, "1", "4", "ann", 1.0, "file", 1), Review("0" * 64, "1", None, "bob", 1.0, "file", 2)])
    lake.reviews.add([Review(key, "4", None, "bob", 2.0, "other", 1)])

    found = descent(home, lake, "key", key)
    told = CliRunner().invoke(app, ["--home", str(home.root), "lineage", "--row", key]).stdout

    (arrival,) = found.arrivals
    assert arrival.run
    assert (arrival.rows, arrival.run.source) == (1, "feedback")
    assert [(each.by, each.label) for each in found.reviews] == [("ann", "4"), ("bob", None)]
    assert f"1 rows  {moment(arrival.run.at)}  run {arrival.run.id}  of feedback  commit unknown" in told
    assert f"review      1 -> 4  {moment(1.0)}  by ann\nreview      4 -> dropped  {moment(2.0)}  by bob\n" in told


def test_the_command_tells_it_in_lines_and_as_json(world: tuple[Home, MemoryTracker], few: RawRows) -> None:
    home, _ = world
    before = ["--home", str(home.root), "lineage"]

    told, whole = CliRunner().invoke(app, [*before, "asked-2"]), CliRunner().invoke(app, [*before, "asked-2", "--json"])
    forward = CliRunner().invoke(app, [*before, "--source", "feedback"])
    neither = CliRunner().invoke(app, before)

    assert f"file      {few.sha256}" in told.stdout
    assert "commit      commit-2.0" in told.stdout
    assert json.loads(whole.stdout)[0]["snapshot"]["name"] == "after"
    assert "model       digits 2.0  learned from 1 of them in after, and gave 1 answers" in forward.stdout
    assert neither.exit_code == 2
