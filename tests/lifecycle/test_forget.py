"""What was forgotten is nowhere: in no table, no older version, no journal, after any interruption; all else stays."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from demlopment import images
from demlopment.cli import app
from demlopment.data import Answers, Lake, RawRows, packaged_digits, returned
from demlopment.data.corrections import Corrections
from demlopment.data.garbage import sweep
from demlopment.data.sources import spoiled
from demlopment.errors import DataError
from demlopment.home import Home
from demlopment.lifecycle.compact import compact, everything
from demlopment.lifecycle.forget import forget
from demlopment.lifecycle.lineage import descent
from demlopment.lifecycle.returns import production
from demlopment.records import Feedback
from demlopment.serving.journal import Journal
from demlopment.settings import Endpoint
from tests.fakes import MemoryTracker
from tests.lifecycle.test_lineage import CAME_BACK, SALT, trained
from tests.serving.test_journal import prediction

PICTURE = images.prepare(CAME_BACK[0])


@pytest.fixture(scope="module")
def few() -> RawRows:
    rows = packaged_digits()
    frame = rows.frame.gather_every(50).with_columns(writer=pl.Series(["ann"] * 40 + ["bob"] * 60))
    return RawRows(rows.name, rows.sha256, frame)


@pytest.fixture
def home(few: RawRows, tmp_path: Path) -> Home:
    """Two writers, a picture that came back and is in journal and lake, a label that contradicts it, and two models."""
    home, tracker = Home(tmp_path), MemoryTracker()
    lake = Lake(home.lake)
    lake.add(few)
    trained(home, "1.0", lake.pin("before", SALT), tracker)
    lake.add(returned(CAME_BACK, ["1"], ["asked"]))
    lake.add(returned(CAME_BACK, ["2"], ["contradicted"]))
    lake.pin("packaged", SALT, {few.name})
    trained(home, "2.0", lake.pin("after", SALT), tracker)
    shown = prediction("asked")._replace(image=PICTURE, digest=key_of(lake))
    for name in ("lake", "journal"):
        journal = Journal(home.endpoint / "journal", name=name)
        journal.record([shown, prediction(f"other-{name}")], [Feedback("asked", 2.0, "1")])
        journal.close()
        if name == "lake":
            compact(home, Answers(home.lake), Endpoint())
    return home


def key_of(lake: Lake) -> str:
    (key,) = lake.now(pl.col("source") == "feedback", ("key",))["key"]
    return str(key)


def holders(root: Path, picture: bytes) -> list[str]:
    """The files that have a picture in them, packed or plain."""
    found = []
    for path in filter(Path.is_file, root.rglob("*")):
        columns = pl.read_parquet(path).select(pl.col(pl.Binary)) if path.suffix == ".parquet" else pl.DataFrame()
        if picture in path.read_bytes() or any(picture in cell for column in columns for cell in column.drop_nulls()):
            found.append(str(path.relative_to(root)))
    return found


def test_after_forgetting_and_collecting_no_file_holds_the_picture(home: Home) -> None:
    pictures = PICTURE.tobytes(), CAME_BACK[0].tobytes()  # as it was prepared, and as it came
    before = [path for picture in pictures for path in holders(home.root, picture)]

    done = forget(home, Lake(home.lake), "source", "feedback")
    sweep(home.lake)

    assert {name.split("/")[1] for name in before} == {"examples", "quarantine", "predictions", "journal"}
    assert (done.examples, done.quarantined, done.predictions, done.waiting) == (1, 1, 2, 0)
    assert [holders(home.root, picture) for picture in pictures] == [[], []]
    left = everything(home, Answers(home.lake))
    assert [each.request_id for each in left.predictions] == ["other-lake", "other-journal"]
    assert left.feedback == []


def test_after_forgetting_and_collecting_no_log_has_the_name(home: Home) -> None:
    keys = Lake(home.lake).now(pl.col("writer") == "ann", ("key",))["key"].to_list()

    forget(home, Lake(home.lake), "writer", "ann")
    sweep(home.lake)

    logs = [path.read_text() for path in home.root.rglob("lake/*/_delta_log/*.json")]
    assert logs
    assert not [name for name in ('"ann', "'ann", *keys) if any(name in log for log in logs)]


@pytest.fixture
def whole(few: RawRows, tmp_path: Path) -> tuple[Home, str]:
    """A home in which a picture of ann's was asked about twice: once contradicted, once come back; and its key."""
    home = Home(tmp_path)
    lake = Lake(home.lake)
    lake.add(few)
    lake.pin("before", SALT)
    ((key, image, label),) = lake.now(pl.col("writer") == "ann", ("key", "image", "label")).sort("key").head(1).rows()
    shown = prediction("asked-1")._replace(image=np.frombuffer(image, np.uint8).reshape(28, 28), digest=key)
    answers = {"asked-1": "1" if label == "0" else "0", "asked-2": label, "asked-3": label}
    for request, said in answers.items():
        journal = Journal(home.endpoint / "journal", name=request)
        journal.record([shown._replace(request_id=request), prediction(f"other-{request}")], [Feedback(request, 2.0, said)])
        journal.close()
        if request == "asked-2":
            compact(home, Answers(home.lake), Endpoint())
    lake.add(production(home))
    lake.pin("after", SALT)
    lake.load(lake.named("after"))
    return home, key


def saying(root: Path, words: Sequence[str]) -> list[str]:
    """The files in which one of the words stands, packed or plain."""
    found = []
    for path in filter(Path.is_file, root.rglob("*")):
        unpacked = repr(pl.read_parquet(path).to_dicts()).encode() if path.suffix == ".parquet" else b""
        found += [f"{path.relative_to(root)}: {word}" for word in words if word.encode() in path.read_bytes() + unpacked]
    return found


ASKED = ("asked-1", "asked-2", "asked-3")


@pytest.mark.parametrize("column", ["key", "writer", "source"])
def test_after_forgetting_and_collecting_no_file_of_the_home_has_the_requests(
    whole: tuple[Home, str], column: Literal["key", "writer", "source"]
) -> None:
    home, key = whole
    value = {"key": key, "writer": "ann", "source": "feedback"}[column]
    words = [*(f'"{each}' for each in ASKED), *(f"'{each}'" for each in ASKED)]
    words += {"key": [key], "writer": [key, "'ann'", '"ann"'], "source": []}[column]
    before = {line.split("/")[1] for line in saying(home.root, words)}

    done = CliRunner().invoke(
        app, ["--home", str(home.root), "data", "forget", f"--{'row' if column == 'key' else column}", value, "--yes"]
    )
    swept = CliRunner().invoke(app, ["--home", str(home.root), "data", "gc"])

    assert (done.exit_code, swept.exit_code) == (0, 0)
    assert before >= {"examples", "quarantine", "predictions", "feedback", "journal"}
    assert saying(home.root, words) == []
    assert [each.request_id for each in everything(home, Answers(home.lake)).predictions] == [f"other-{each}" for each in ASKED]


def test_after_forgetting_and_collecting_no_file_of_the_home_has_the_name_of_the_source(few: RawRows, tmp_path: Path) -> None:
    home, name = Home(tmp_path), "file:anna-1b2c3d4e"
    lake = Lake(home.lake)
    lake.add(RawRows(few.name, few.sha256, few.frame.tail(60)))
    lake.add(RawRows(name, "", few.frame.head(60).with_columns(source=pl.lit(name))))
    lake.add(RawRows(name, "", few.frame.head(1).with_columns(source=pl.lit(name), label=pl.lit("12"))))
    (bad,) = lake.bad.found(pl.col("source") == name, ("name",))["name"]
    lake.replay(Corrections("fixes.csv", "f" * 64, {bad: "13"}))
    lake.load(lake.pin("all", SALT))
    before = saying(home.root, [name])

    forget(home, Lake(home.lake), "source", name)
    sweep(home.lake)

    assert {line.split("/")[1] for line in before} >= {"examples", "quarantine", "corrections", "ready"}
    assert saying(home.root, [name]) == []


def test_a_source_is_named_by_no_pin_and_no_planted_row_either(few: RawRows, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    lake.add(spoiled(RawRows("grandma", few.sha256, few.frame.with_columns(source=pl.lit("grandma")))))
    lake.add(RawRows("other", "", few.frame.tail(10).with_columns(source=pl.lit("other"))))
    lake.pin("alone", SALT, {"grandma"})
    lake.pin("both", SALT, {"grandma", "other"})
    lake.pin("other", SALT, {"other"})
    before = {line.split("/")[1] for line in saying(tmp_path, ["grandma"])}

    forget(Home(tmp_path), lake, "source", "grandma")
    rest = [lake.load(lake.rest(name)).keys.tolist() for name in ("alone", "both", "other")]
    sweep(tmp_path / "lake")

    assert before == {"examples", "quarantine", "pins"}
    assert saying(tmp_path, ["grandma"]) == []
    assert rest == [lake.load(lake.rest(name)).keys.tolist() for name in ("alone", "both", "other")]
    assert [len(keys) for keys in rest] == [0, 10, 10]


@pytest.mark.parametrize("column", ["key", "writer", "source"])
def test_lineage_tells_of_the_rows_that_would_be_forgotten(
    whole: tuple[Home, str], column: Literal["key", "writer", "source"]
) -> None:
    home, key = whole
    value = {"key": key, "writer": "ann", "source": "feedback"}[column]
    lake = Lake(home.lake)

    told = descent(home, lake, column, value)
    done = forget(home, lake, column, value)

    assert told.rows == done.examples
    assert len(told.predictions) == done.predictions
    assert set(told.snapshots) >= set(done.snapshots)  # which have not lost a picture that another source has too


def test_a_picture_of_two_writers_stays_with_the_other(whole: tuple[Home, str], few: RawRows) -> None:
    home, key = whole
    lake = Lake(home.lake)
    lake.add(RawRows("again", "", few.frame.with_columns(source=pl.lit("again"), writer=pl.lit("zoe"))))

    forget(home, Lake(home.lake), "writer", "ann")

    left = lake.now(pl.col("key") == key, ("writer", "source")).sort("source")
    assert left.rows() == [("zoe", "again"), (None, "feedback")]
    assert len(lake.now(pl.col("writer") == "ann", ("key",))) == 0


def test_snapshots_that_lost_nothing_load_as_they_were_and_the_others_say_what_they_lost(home: Home) -> None:
    lake = Lake(home.lake)
    pinned = lake.snapshots()
    keys = lake.load(pinned["after"]).keys

    done = forget(home, Lake(home.lake), "source", "feedback")
    sweep(home.lake)

    assert [len(lake.load(pinned[name])) for name in ("before", "packaged")] == [100, 100]
    with pytest.raises(DataError, match="1 were forgotten"):
        lake.load(pinned["after"])
    rest = lake.rest("after")
    assert (rest.rows, rest.name) == (100, "after")
    assert rest.digest == pinned["before"].digest
    assert set(lake.load(rest).keys) < set(keys)
    assert done.snapshots == ("after",)
    assert done.models == (str(home.models / "digits-2.0.mar"),)


def test_a_writer_leaves_every_snapshot_and_a_row_leaves_one_by_one(home: Home) -> None:
    lake = Lake(home.lake)

    done = forget(home, Lake(home.lake), "writer", "ann")
    (key,) = lake.now(pl.col("writer") == "bob", ("key",))["key"].head(1)
    one = forget(home, Lake(home.lake), "key", key)
    sweep(home.lake)

    assert (done.examples, one.examples) == (40, 1)
    assert set(done.snapshots) == {"before", "packaged", "after"}
    assert {name: lake.rest(name).rows for name in lake.snapshots()} == {"before": 59, "packaged": 59, "after": 60}
    assert set(lake.load(lake.rest("after")).writers) == {"bob", ""}


def test_a_writers_pictures_leave_also_where_a_source_did_not_say_whose_they_are(few: RawRows, tmp_path: Path) -> None:
    home, lake = Home(tmp_path), Lake(tmp_path / "lake")
    lake.add(few)
    lake.add(RawRows("nameless", few.sha256, few.frame.with_columns(source=pl.lit("nameless"), writer=pl.lit(None, pl.String))))
    pinned = lake.pin("all", SALT)

    done = forget(home, lake, "writer", "ann")

    assert (done.examples, done.snapshots) == (80, ("all",))
    assert lake.rest("all").rows == pinned.rows - 40
    assert set(lake.load(lake.rest("all")).writers) == {"bob"}
    assert set(lake.now(pl.lit(True), ("source",))["source"]) == {few.name, "nameless"}  # noqa: FBT003


def test_forgetting_again_or_nobody_changes_nothing(home: Home) -> None:
    first = forget(home, Lake(home.lake), "writer", "ann")

    again, nobody = forget(home, Lake(home.lake), "writer", "ann"), forget(home, Lake(home.lake), "writer", "eve")

    assert (again.examples, again.predictions) == (nobody.examples, nobody.predictions) == (0, 0)
    assert again.models == nobody.models == first.models


class Killed(BaseException):
    """What a test throws where a process would have died."""


def dying_at(commit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the tables' store die in place of that commit, counted from 1."""
    from demlopment.data.delta import DeltaStore

    commits: list[str] = []
    for verb in ("insert", "remove"):

        def dying(
            self: DeltaStore, table: str, *args: object, _whole: object = getattr(DeltaStore, verb), **more: object
        ) -> object:
            commits.append(table)
            if len(commits) == commit:
                raise Killed
            return _whole(self, table, *args, **more)  # type: ignore[operator]  # a method

        monkeypatch.setattr(DeltaStore, verb, dying)


@pytest.mark.parametrize("dies_at", range(1, 7))
def test_a_run_that_dies_at_any_commit_is_simply_repeated(home: Home, dies_at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    dying_at(dies_at, monkeypatch)

    with pytest.raises(Killed):
        forget(home, Lake(home.lake), "source", "feedback")
    monkeypatch.undo()
    done = forget(home, Lake(home.lake), "source", "feedback")
    sweep(home.lake)

    assert done.models == (str(home.models / "digits-2.0.mar"),)
    assert holders(home.root, PICTURE.tobytes()) == []
    assert len(Lake(home.lake).load(Lake(home.lake).named("packaged"))) == 100


@pytest.mark.parametrize("dies_at", [2, 3, 9, 10])  # at the answers, the quarantine, and the examples
def test_forgetting_a_writer_that_dies_at_any_commit_is_simply_repeated(
    whole: tuple[Home, str], dies_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, key = whole
    dying_at(dies_at, monkeypatch)

    with pytest.raises(Killed):
        forget(home, Lake(home.lake), "writer", "ann")
    monkeypatch.undo()
    forget(home, Lake(home.lake), "writer", "ann")
    sweep(home.lake)

    assert saying(home.root, ["'ann'", key, *map(repr, ASKED)]) == []


def test_the_command_asks_first_and_then_says_what_to_do(home: Home) -> None:
    before = ["--home", str(home.root), "data", "forget"]

    asked = CliRunner().invoke(app, [*before, "--writer", "ann"], input="n\n")
    kept = len(Lake(home.lake).now(pl.col("writer") == "ann", ("key",)))
    done = CliRunner().invoke(app, [*before, "--writer", "ann", "--yes"])
    neither = CliRunner().invoke(app, before)

    assert (asked.exit_code, kept) == (1, 40)
    assert done.stdout.startswith("40 examples, ")
    assert re.search(r"model .*digits-1\.0\.mar learned from", done.stdout)
    assert "data gc" in done.stdout
    assert neither.exit_code == 2
