"""Pen strokes are read whichever way they are spelt, and a record that cannot be drawn is a bad row."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment import images
from demlopment.data import pen
from demlopment.data.contract import screen
from demlopment.data.lake import Lake
from demlopment.data.sources import Source, opened
from demlopment.data.sources import strokes as module
from demlopment.data.sources.strokes import strokes
from demlopment.errors import DataError
from tests.fakes import MemoryStore

HOOK = [[(0, 0, 1), (9, 0, 5), (3, 20, 9), (2, 21, 12)], [(5, 5, 20)]]
FORMS: dict[str, Callable[[list[tuple[int, int, int]]], Any]] = {
    "named": lambda stroke: [{"x": x, "y": y, "t": t} for x, y, t in stroke],
    "without times": lambda stroke: [{"y": y, "x": x} for x, y, _ in stroke],
    "triples": lambda stroke: [list(point) for point in stroke],
    "pairs": lambda stroke: [list(point[:2]) for point in stroke],
    "columns": lambda stroke: [list(column) for column in zip(*stroke, strict=True)],
}


def written(path: Path, records: list[Any], *, listed: bool = False, pack: Callable[[bytes], bytes] = bytes) -> Path:
    text = json.dumps(records, indent=1) if listed else "".join(f"{json.dumps(record)}\n" for record in records)
    path.write_bytes(pack(text.encode()))
    return path


def rows(source: Source) -> list[dict[str, Any]]:
    return [row for batch in source.batches() for row in batch.to_dicts()]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_every_spelling_is_the_same_picture(tmp_path: Path, form: str, listed: bool, pack: Callable[[bytes], bytes]) -> None:  # noqa: FBT001  pytest passes by name
    told = [FORMS[form](stroke) for stroke in HOOK]
    path = written(
        tmp_path / "pen.jsonl",
        [{"label": "7", "writer": 12, "strokes": told}, {"label": 1, "strokes": told}],
        listed=listed,
        pack=pack,
    )

    first, second = rows(opened(path))

    wanted = pen.drawn([np.array(stroke, np.float64)[:, :2] for stroke in HOOK])
    decoded = np.asarray(cv2.imdecode(np.frombuffer(first["image"], np.uint8), cv2.IMREAD_UNCHANGED))
    assert np.array_equal(decoded, wanted)
    assert (first["label"], first["writer"], first["format"], first["fault"]) == ("7", "12", "file", None)
    assert (second["label"], second["writer"], second["row"]) == ("1", None, 1)


def test_google_quick_draw_has_words_and_columns_also_where_they_could_be_points(tmp_path: Path) -> None:
    quick = {"word": "1", "countrycode": "AT", "drawing": [[[5, 6], [0, 90]]]}
    path = written(tmp_path / "one.ndjson", [quick, {"label": "1", "strokes": [[[5, 0], [6, 90]]]}])

    first, second = rows(opened(path))

    assert first["label"] == "1"
    assert first["image"] == second["image"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"strokes": [[[0, float("nan")], [1, 1]]]}, "a coordinate is not finite"),
        ({"strokes": [[[0, float("inf")], [1, 1]]]}, "a coordinate is not finite"),
        ({"strokes": [[[0, 1e308], [1, 1]]]}, "a coordinate is beyond 1e+09"),
        ({"strokes": [[[0, 10**400], [1, 1]]]}, "a coordinate is beyond 1e+09"),
        ({"strokes": [[[0, "1"], [1, 1]]]}, "a coordinate is no number"),
        ({"strokes": [[[0, True], [1, 1]]]}, "a coordinate is no number"),
        ({"strokes": [[{"x": 1}]]}, "a point has no x and y"),
        ({"strokes": [[5, 6]]}, "a point has no x and y"),
        ({"strokes": [[[1], [2], [3]]]}, None),
        ({"strokes": [[[1, 2, 3, 4], [1, 2, 3]]]}, "a point has no x and y"),
        ({"strokes": []}, "the strokes have no points"),
        ({"strokes": [[], []]}, "the strokes have no points"),
        ({"strokes": [[[], []]]}, "the strokes have no points"),
        ({"strokes": None}, "strokes missing"),
        ({"strokes": {"x": [1]}}, "the strokes are no list of lists of points"),
        ({"strokes": [[[1, 2]] * 10_001]}, "there are more than 10000 points"),
        ({"label": None}, "label missing"),
        ({"label": ["7"]}, "label is neither text nor a whole number; label missing"),
        ({"label": "\ud800"}, "label outside 0 to 9"),
        ({"writer": 1.5, "strokes": []}, "writer is neither text nor a whole number; the strokes have no points"),
    ],
)
def test_a_record_that_cannot_be_drawn_goes_to_quarantine_with_every_reason(
    tmp_path: Path, change: dict[str, Any], reason: str | None
) -> None:
    good = {"label": "7", "strokes": HOOK}
    path = written(tmp_path / "pen.jsonl", [good, good | change, good])

    (batch,) = strokes(path).batches()
    fine, bad = screen(batch, tuple("0123456789"))

    assert fine["row"].to_list() == ([0, 2] if reason else [0, 1, 2])
    assert [set(reasons.split("; ")) for reasons in bad["reasons"]] == ([set(reason.split("; "))] if reason else [])
    if reason and "label" not in change:
        assert json.dumps(good | change).encode().startswith(bad["image"][0])


@pytest.mark.parametrize("listed", [True, False])
def test_a_number_of_thousands_of_digits_spoils_its_record_alone(tmp_path: Path, listed: bool) -> None:  # noqa: FBT001  pytest passes by name
    good = {"label": "7", "strokes": HOOK}
    path = written(
        tmp_path / "pen", [good, {**good, "label": "LONG"}, {**good, "strokes": [[[0, "LONG"]]]}, good], listed=listed
    )
    path.write_text(path.read_text().replace('"LONG"', "9" * 5_000))

    (batch,) = strokes(path).batches()

    assert batch["label"].to_list() == ["7", None, "7", "7"]
    assert batch["fault"].to_list() == [None, "label is neither text nor a whole number", "a coordinate is beyond 1e+09", None]


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize(
    "twice",
    [
        '{"label": "7", "label": "1", "strokes": [[[0, 0], [9, 9]]]}',
        '{"label": "7", "strokes": [], "strokes": [[[0, 0], [9, 9]]]}',
        '{"label": "7", "strokes": [[{"x": 1, "y": 2, "x": 9}, {"x": 3, "y": 4}]]}',
    ],
    ids=["label", "strokes", "x"],
)
def test_a_record_that_says_a_thing_twice_is_a_bad_row(tmp_path: Path, twice: str, listed: bool) -> None:  # noqa: FBT001  pytest passes by name
    good = json.dumps({"label": "7", "strokes": HOOK})
    lines = [good, twice, good]
    (tmp_path / "pen").write_text(f"[{', '.join(lines)}]" if listed else "\n".join(lines))

    (batch,) = strokes(tmp_path / "pen").batches()

    assert batch["fault"].to_list() == [None, "a name stands twice in an object", None]
    assert batch["image"][1] == twice.encode()


@pytest.mark.parametrize("line", ["{", "[" * 100_000, "7", '"x"', "nonsense", '{"label": "7"', "\x00", "1" * 5000])
def test_a_line_that_is_no_record_is_a_bad_row_as_it_stood(tmp_path: Path, line: str) -> None:
    good = json.dumps({"label": "7", "strokes": HOOK})
    path = tmp_path / "pen.jsonl"
    path.write_text(f"{good}\n\n{line}\n{good}\n")

    first, second, third = rows(strokes(path))

    assert first["image"] == third["image"]
    assert (second["image"], second["format"]) == (line.encode()[:4096], "unread")
    assert second["fault"] in ("the line is no JSON", "the line is nested too deeply", "the record is no object")


def test_a_record_of_a_million_points_is_a_bad_row_and_the_next_is_read(tmp_path: Path) -> None:
    good = json.dumps({"label": "7", "strokes": HOOK})
    path = tmp_path / "pen.jsonl"
    path.write_text(good[:-2] + ", [[1, 2]" + ", [3, 4]" * 1_000_000 + "]]}\n" + good)

    first, second = rows(strokes(path))

    assert first["fault"] == "the record is longer than 4194304 bytes"
    assert second["fault"] is None


@pytest.mark.parametrize("after", ["", "\n" + json.dumps({"label": "7", "strokes": HOOK})])
def test_a_line_that_is_nested_too_deeply_is_a_bad_row_wherever_it_stands(tmp_path: Path, after: str) -> None:
    path = tmp_path / "pen.jsonl"
    path.write_text('{"label": "7", "strokes": ' + "[" * 100_000 + "]" * 100_000 + "}" + after)

    first, *others = rows(strokes(path))

    assert (first["label"], first["fault"]) == (None, "the line is nested too deeply")
    assert [other["fault"] for other in others] == [None] * bool(after)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[{"label": "7", "strokes": [[[1, 2]]]}, {"label"', "ends in the middle of record 2"),
        ('[{"label": "7", "strokes": [[[1, 2]]]}', "ends in the middle of record 2"),
        ('[{"label": "7"}] 5', "goes on after the end of its list, record 1"),
        ("[" + "[" * 100_000, "record 1: it is nested too deeply"),
        ('[{"label": "7", "strokes": [[[1, 2]]]},' + "[" * 100_000 + "]" * 100_000 + "]", "record 2: it is nested too deeply"),
        ("[]", "holds no records"),
        ("{}\n{", "ends in the middle of line 2"),
    ],
)
def test_a_broken_file_is_named_and_nothing_is_added(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "pen.json"
    path.write_text(text)
    store = MemoryStore()

    with pytest.raises(DataError) as refused:
        Lake("memory", lambda _: store).add(opened(path))

    assert str(path) in refused.value.problem
    assert words in refused.value.problem
    assert refused.value.remedy
    assert store.version("examples") is None


def test_a_list_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE", 7)
    records = [{"label": str(number), "writer": "Grüße", "strokes": HOOK} for number in range(9)]

    read = rows(strokes(written(tmp_path / "pen.json", records, listed=True)))

    assert [row["label"] for row in read] == [str(number) for number in range(9)]
    assert {row["writer"] for row in read} == {"Grüße"}


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["x", "y", "label", "strokes"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.fixed_dictionaries({"label": anything, "strokes": anything, "writer": anything}) | anything)
def test_whatever_a_record_says_it_is_a_picture_or_has_a_fault(
    tmp_path_factory: pytest.TempPathFactory, record: object
) -> None:
    path = written(tmp_path_factory.mktemp("any") / "pen.jsonl", [{}, record])

    _, first = rows(strokes(path))

    assert (first["fault"] is None) == (first["format"] == "file")
    if first["fault"] is None:
        assert images.prepare(first["image"]).any()
