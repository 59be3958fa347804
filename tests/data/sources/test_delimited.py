"""Lines of pixels with a label are read whatever their columns are called, and what is wrong with a file is said."""

import csv
import gzip
import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment.data.contract import screen
from demlopment.data.sources import opened
from demlopment.data.sources.delimited import LONGEST, delimited, side
from demlopment.data.sources.lines import lines
from demlopment.data.sources.unpacked import Unpacked
from demlopment.errors import DataError
from tests.data.sources.written import pictures

DIGITS = tuple("0123456789")
NUMBERED = [f"pixel{number}" for number in range(784)]
PLACED = [f"{row}x{column}" for row in range(1, 29) for column in range(1, 29)]
NAMED = [f"grey of {number}" for number in range(784)]


def written(path: Path, names: list[str] | None, table: list[list[object]], pack: Callable[[bytes], bytes] = bytes) -> Path:
    text = io.StringIO()
    csv.writer(text).writerows([names, *table] if names else table)
    path.write_bytes(pack(text.getvalue().encode()))
    return path


def flat(count: int) -> list[list[object]]:
    return [list(map(int, picture.ravel())) for picture in pictures(count)]


def images(path: Path) -> list[bytes]:
    return [image for batch in delimited(path).batches() for image in batch["image"]]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("pixels", [NUMBERED, PLACED, NAMED, [str(n) for n in range(784)]], ids=lambda names: names[0])
@pytest.mark.parametrize("label", ["label", "Class", "target"])
def test_a_line_of_names_says_what_is_what(
    tmp_path: Path, label: str, pixels: list[str], pack: Callable[[bytes], bytes]
) -> None:
    table = [[number, *row, f"hand {number}", "CC0"] for number, row in enumerate(flat(12))]
    path = written(tmp_path / "train.csv", [label, *pixels, "writer", "licence"], table, pack)

    (batch,) = opened(path).batches()

    assert batch["image"].to_list() == [picture.tobytes() for picture in pictures(12)]
    assert batch["label"].to_list() == [str(number) for number in range(12)]
    assert batch["writer"].to_list() == [f"hand {number}" for number in range(12)]
    assert batch["licence"].unique().to_list() == ["CC0"]
    assert batch["format"].unique().to_list() == ["grey"]
    assert batch["origin"].unique().to_list() == [hashlib.sha256(path.read_bytes()).hexdigest()]


@pytest.mark.parametrize("divider", [";", "\t"])
@pytest.mark.parametrize("names", [["label", *NUMBERED], None], ids=["names", "no names"])
def test_semicolons_and_tabs_divide_where_no_comma_does(tmp_path: Path, names: list[str] | None, divider: str) -> None:
    table: list[list[object]] = [[f"{number}", *row] for number, row in enumerate(flat(12))]
    with_commas = written(tmp_path / "train.csv", names, table)
    other = tmp_path / "other.csv"
    other.write_text(with_commas.read_text().replace(",", divider))

    (wanted,), (batch,) = (opened(path, name="mine").batches() for path in (with_commas, other))

    assert batch.drop("origin").equals(wanted.drop("origin"))
    assert len(batch) == 12


def test_numbered_pixels_stand_where_their_number_says(tmp_path: Path) -> None:
    order = np.random.default_rng(5).permutation(784)
    names = [NUMBERED[place] for place in order]
    table = [["note", *(row[place] for place in order), 3] for row in flat(4)]

    path = written(tmp_path / "t.csv", ["remark", *names, "label"], table)

    assert images(path) == [picture.tobytes() for picture in pictures(4)]


FIELDS = st.integers(0, 255).map(str) | st.sampled_from(["", "-1", "256", "0.5", "7.0", "x", "nan", "1e9", " 12", "inf", "1e2"])


@given(st.lists(FIELDS, min_size=1, max_size=4))
def test_a_row_is_read_as_python_reads_its_numbers_or_goes_to_quarantine_as_it_stood(
    tmp_path_factory: pytest.TempPathFactory, fields: list[str]
) -> None:
    given_row = (fields * 784)[:784]
    path = written(tmp_path_factory.mktemp("row") / "t.csv", ["label", *NUMBERED], [[7, *given_row], [8, *flat(1)[0]]])

    (batch,) = delimited(path).batches()

    numbers = [float(field or "nan") if field != "x" else float("nan") for field in given_row]
    good = all(0 <= number <= 255 and number.is_integer() for number in numbers)
    line = path.read_bytes().splitlines()[1][:4096]
    assert batch["format"].to_list() == ["grey" if good else "unread", "grey"]
    assert batch["image"][0] == (bytes(map(int, numbers)) if good else line)
    assert batch["image"][1] == pictures(1)[0].tobytes()


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ("256", "a pixel is outside 0 to 255"),
        ("-3", "a pixel is outside 0 to 255"),
        ("0.25", "a pixel is no whole number"),
        ("", "a pixel is missing or no number"),
        ("ten", "a pixel is missing or no number"),
    ],
)
def test_a_row_without_a_picture_carries_every_reason_and_stops_no_other(tmp_path: Path, field: str, reason: str) -> None:
    good = flat(3)
    table = [[1, *good[0]], ["", field, *good[1][1:]], [2, *good[2]]]

    (batch,) = delimited(written(tmp_path / "t.csv", ["label", *NUMBERED], table)).batches()
    fine, bad = screen(batch, DIGITS)

    assert fine["row"].to_list() == [0, 2]
    assert bad["reasons"].to_list() == [f"label missing; {reason}"]
    assert bad["image"][0].startswith(f",{field},".encode())


def headerless(
    path: Path, where: str, count: int = 20, change: Callable[[npt.NDArray[np.uint8]], object] | None = None
) -> Path:
    shown = pictures(count)
    if change:
        change(shown)
    rows = [list(map(int, picture.ravel())) for picture in shown]
    return written(path, None, [[n % 10, *row] if where == "first" else [*row, n % 10] for n, row in enumerate(rows)])


@pytest.mark.parametrize("where", ["first", "last"])
def test_without_names_the_corners_tell_where_the_label_stands(tmp_path: Path, where: str) -> None:
    path = headerless(tmp_path / "mnist_train.csv", where)

    (batch,) = opened(path).batches()

    assert side(path) == where
    assert batch["label"].to_list() == [str(number % 10) for number in range(20)]
    assert batch["image"].to_list() == [picture.tobytes() for picture in pictures(20)]


LINE = b",".join([b"0"] * 783 + [b"255", b"7"])


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(("between", "ending"), [(b"\n", b"\n"), (b"\r\n", b"\r\n"), (b"\n", b""), (b"\n", b"\n\n")])
def test_a_file_is_read_packed_or_plain_however_its_lines_end_and_under_a_name_of_its_own(
    tmp_path: Path, pack: Callable[[bytes], bytes], between: bytes, ending: bytes
) -> None:
    path = tmp_path / "feedback.csv"
    path.write_bytes(pack(LINE + between + LINE + ending))

    rows = opened(path, labels="last")
    (batch,) = rows.batches()

    assert rows.name == f"file:feedback-{rows.sha256[:8]}", "a file may not pass for rows that came back from production"
    assert rows.sha256 == hashlib.sha256(path.read_bytes()).hexdigest() == batch["origin"][1]
    assert batch["image"].to_list() == [bytes(783) + b"\xff"] * 2
    assert batch["label"].to_list() == ["7", "7"]


def test_a_label_that_is_missing_or_outside_the_classes_is_left_to_the_contract(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_bytes(b"\n".join([LINE, LINE[:-1], LINE[:-1] + b"-1", LINE[:-1] + b"7.5"]))

    (batch,) = opened(path, labels="last").batches()

    assert batch["label"].to_list() == ["7", None, "-1", "7.5"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(gzip.compress(b""), "is empty", id="empty inside"),
        pytest.param("label,pixel0\n7,0\n".encode("utf-16"), "is a text in UTF-16, not in UTF-8", id="UTF-16"),
        pytest.param("label,pixel0\n7,0\n".encode("utf-16-be"), "starts with b", id="UTF-16 that does not say so"),
        pytest.param(LINE + b"\n" + LINE + "\u00fc\n".encode("latin-1"), "line 2: the byte 0xfc is no UTF-8", id="Latin-1"),
        pytest.param(
            "label,gr\u00f6\u00dfe\n7,0\n".encode("latin-1"), "line 1: the byte 0xf6 is no UTF-8", id="Latin-1 in the names"
        ),
        pytest.param(gzip.compress(LINE * 50)[:-20], "not a whole gzip file", id="truncated"),
        pytest.param(b"\x1f\x8bnonsense", "not a whole gzip file", id="not gzip inside"),
        pytest.param(LINE[2:], "line 1: 784 columns, not 785", id="column missing everywhere"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "is a single picture", id="a picture"),
    ],
)
def test_a_file_that_has_no_such_lines_is_refused_with_its_name_and_the_reason(
    tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "own.csv.gz"
    path.write_bytes(content)

    with pytest.raises(DataError) as refused:
        list(opened(path, labels="last").batches())

    assert str(path) in refused.value.problem
    assert words in refused.value.problem
    assert refused.value.remedy


def test_labels_that_pandas_made_decimal_are_whole_again(tmp_path: Path) -> None:
    names = ",".join(["label", *(f"pixel{place}" for place in range(784))])
    lines = [f"{label}," + ",".join(["0"] * 783 + ["9"]) for label in ("5.0", "", "7", "0.5")]
    (tmp_path / "a.csv").write_text("\n".join([names, *lines]))

    (batch,) = opened(tmp_path / "a.csv").batches()

    assert batch["label"].to_list() == ["5", None, "7", "0.5"]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.csv cannot be read: No such file"):
        opened(tmp_path / "nowhere.csv")


def test_a_pixel_of_thousands_of_digits_is_a_bad_row_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text("9" * 6000 + ",0" * 784)

    (batch,) = opened(path, labels="last").batches()

    assert batch["format"].to_list() == ["unread"]


def inked(shown: npt.NDArray[np.uint8]) -> None:
    shown[::2, 0, 0] = shown[::2, -1, -1] = 9


@pytest.mark.parametrize("where", ["first", "last"])
@pytest.mark.parametrize(("count", "change"), [(20, inked), (1, None)], ids=["ink in the corners", "only zeros"])
def test_where_the_rows_leave_it_open_nothing_is_guessed(
    tmp_path: Path, where: str, count: int, change: Callable[[npt.NDArray[np.uint8]], object] | None
) -> None:
    path = headerless(tmp_path / "t.csv", where, count, change)

    with pytest.raises(DataError) as refused:
        opened(path)
    (batch,) = opened(path, labels=where).batches()  # type: ignore[arg-type]  # one of the two

    assert str(path) in refused.value.problem
    assert "`--labels first`" in refused.value.remedy
    assert batch["label"].to_list() == [str(number % 10) for number in range(count)]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (NUMBERED, "has no column `label` among its 784 columns (pixel0, pixel1, pixel2, ...)"),
        (["label", *NUMBERED[:5], *NUMBERED[6:]], "has no column of pixels after 'pixel4'"),
        (["label", *NUMBERED, "pixel784"], "has 785 columns of pixels, not 784: 'pixel784' is too many"),
        (["label", *NUMBERED, "Pixel7"], "has 2 columns that are called 'pixel7'"),
        (["label", *NUMBERED, "target"], "has the columns 'label' and 'target', which mean the same"),
        (["label", *NAMED[1:]], "has 783 columns of pixels, not 784"),
        (["label", "image"], "has 1 columns of pixels, not 784"),
    ],
    ids=range(7),
)
def test_columns_that_do_not_fit_are_named(tmp_path: Path, names: list[str], words: str) -> None:
    path = written(tmp_path / "t.csv", names, [[0] * len(names)])

    with pytest.raises(DataError) as refused:
        opened(path)

    assert f"{path} {words}." == refused.value.problem


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda lines: [*lines[:2], lines[2][:-40], *lines[3:]], "line 3: 765 columns, not 785"),
        (lambda lines: [*lines[:2], lines[2] + b",0", *lines[3:]], "line 3: 786 columns, not 785"),
        (lambda lines: [lines[0], b"", lines[1], b"1,2"], "line 4: 2 columns, not 785"),
        (lambda lines: [lines[0], b"7," + b"0" * LONGEST], f"line 2: more than {LONGEST} bytes"),
        (lambda lines: lines[:1], "holds no rows"),
    ],
    ids=["short", "long", "after a blank line", "endless", "only names"],
)
def test_lines_that_do_not_fit_are_named(tmp_path: Path, damage: Callable[[list[bytes]], list[bytes]], words: str) -> None:
    path = written(tmp_path / "t.csv", ["label", *NUMBERED], [[1, *[0] * 784] for _ in range(4)])
    path.write_bytes(b"\n".join(damage(path.read_bytes().splitlines())))

    with pytest.raises(DataError) as refused:
        list(delimited(path).batches())

    assert str(path) in refused.value.problem
    assert words in refused.value.problem
    assert refused.value.remedy


def test_labels_may_be_quoted_and_blank_lines_and_a_byte_order_mark_are_nothing(tmp_path: Path) -> None:
    table = ['"a, b",' + "0," * 783 + "9", "", ' "c" ,' + "0," * 783 + "9", ""]
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([",".join(["label", *NUMBERED]), *table]).encode())

    (batch,) = opened(path).batches()

    assert batch["row"].to_list() == [0, 1]
    assert batch["label"][0] == "a, b"


@given(st.binary(max_size=300).map(lambda text: text.replace(b"\r", b"").removeprefix(b"\xef\xbb\xbf")), st.integers(1, 9))
def test_lines_are_those_that_python_splits_cut_at_the_longest(text: bytes, longest: int) -> None:
    found = list(lines(Unpacked(Path("memory"), io.BytesIO(text)), longest))

    split = text.split(b"\n")
    assert found == [line[: longest + 1] for line in (split if split[-1] else split[:-1])]


def test_a_long_file_is_split_where_its_lines_end() -> None:
    text = b"".join(b"%d," % number * 50 + b"\r\n" for number in range(2000))

    found = list(lines(Unpacked(Path("memory"), io.BytesIO(text)), LONGEST))

    assert found == text.split(b"\r\n")[:-1]


@given(cell=st.text('7",\r a', max_size=6), place=st.integers(0, 2))
def test_quotes_and_line_ends_in_a_cell_harm_no_other_row(
    tmp_path_factory: pytest.TempPathFactory, cell: str, place: int
) -> None:
    cells = ["1", "2", "3"]
    cells[place] = cell
    lines_ = [
        ",".join([*NUMBERED, "label"]),
        *(",".join([*map(str, row), end]) for row, end in zip(flat(3), cells, strict=True)),
    ]
    path = tmp_path_factory.mktemp("quotes") / "odd.csv"
    path.write_bytes("\n".join(lines_).encode())

    said = ""
    try:
        (batch,) = delimited(path).batches()
    except DataError as refused:
        said = str(refused)
    if said:
        assert f"line {place + 2}" in said
    else:
        said = f"line {place + 2}"
        assert batch["image"].to_list() == [picture.tobytes() for picture in pictures(3)]
        assert [label for at, label in enumerate(batch["label"]) if at != place] == [
            str(number + 1) for number in range(3) if number != place
        ]
    assert f"line {place + 2}" in said


def test_a_file_of_a_single_line_without_line_feeds_is_named(tmp_path: Path) -> None:
    path = tmp_path / "old.csv"
    path.write_bytes(b"label,pixel0\r7,0\r")

    with pytest.raises(DataError, match="line 1: a quote or the end of a line stands where none can"):
        delimited(path)
