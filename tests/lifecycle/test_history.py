"""The history keeps every verdict in order, gives back what it was given, and lets nobody change it."""

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demlopment.errors import HomeError
from demlopment.lifecycle.history import History
from demlopment.records import Verdict

texts = st.text(st.characters(codec="utf-8"), max_size=20)
verdicts = st.builds(
    Verdict,
    kind=st.sampled_from(["gate", "experiment", "drift"]),
    decision=st.sampled_from(["promote", "refuse", "keep", "continue", "retrain", "hold"]),
    subject=texts,
    against=texts,
    reason=texts,
    evidence=st.dictionaries(texts, st.one_of(st.integers(-1000, 1000), texts, st.booleans()), max_size=3),
)


@given(st.lists(verdicts, max_size=5))
@settings(max_examples=25)
def test_what_is_recorded_is_what_is_read_in_the_same_order(
    tmp_path_factory: pytest.TempPathFactory, given_verdicts: list[Verdict]
) -> None:
    history = History(tmp_path_factory.mktemp("home") / "history.db")

    for at, verdict in enumerate(given_verdicts):
        history.record(verdict, float(at))

    entries = history.entries()
    assert [entry.verdict for entry in entries] == given_verdicts
    assert [(entry.number, entry.at) for entry in entries] == [(at + 1, float(at)) for at in range(len(given_verdicts))]


def test_a_history_that_has_not_begun_is_empty_and_reading_creates_nothing(tmp_path: Path) -> None:
    assert History(tmp_path / "history.db").entries() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("statement", ["UPDATE verdicts SET decision = 'promote'", "DELETE FROM verdicts"])
def test_nobody_changes_or_removes_a_verdict(tmp_path: Path, statement: str) -> None:
    history = History(tmp_path / "history.db")
    history.record(Verdict("gate", "refuse", "digits 2.0", "digits 1.0", "It is worse.", {}), 0.0)
    database = sqlite3.connect(history.path)

    with pytest.raises(sqlite3.IntegrityError, match="a verdict is never"):
        database.execute(statement)
    database.close()

    assert [entry.verdict.decision for entry in history.entries()] == ["refuse"]


def test_a_history_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    history = History(tmp_path / "missing" / "history.db")

    with pytest.raises(HomeError, match=r"history\.db cannot be written"):
        history.record(Verdict("gate", "refuse", "digits 2.0", "", "It is worse.", {}), 0.0)


@pytest.mark.parametrize("content", [b"no database, but longer than a header of SQLite's " * 40, b""])
def test_a_damaged_history_is_named_and_an_empty_file_begins_anew(tmp_path: Path, content: bytes) -> None:
    history = History(tmp_path / "history.db")
    history.path.write_bytes(content)

    if content:
        with pytest.raises(HomeError, match=r"history\.db is damaged"):
            history.entries()
        assert history.path.read_bytes() == content
    else:
        assert history.entries() == []
