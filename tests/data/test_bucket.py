"""A lake in an object store: what it gives, what it forgets, and what is said when it cannot be reached."""

from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from deltalake import DeltaTable

from demlopment.data import bucket
from demlopment.data.garbage import sweep
from demlopment.data.lake import Lake
from demlopment.data.snapshots import checkout, difference
from demlopment.data.sources import RawRows
from demlopment.errors import DataError, DemlopmentError, HomeError, NotReadyError, SettingsError
from demlopment.home import Home
from demlopment.settings import Data
from tests.test_cli import run

SALT = "demlopment-1"
CLOSED = "http://127.0.0.1:9"  # the port "discard", where nobody listens


class Objects:
    """The objects below an address, as another program sees them."""

    def __init__(self, address: str) -> None:
        self._bucket, _, self._prefix = address.removeprefix("s3://").partition("/")
        self._client = boto3.client("s3", region_name="us-east-1")

    def names(self, ending: str = "") -> list[str]:
        listed = self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix).get("Contents", [])
        return [each["Key"] for each in listed if each["Key"].endswith(ending)]

    def read(self, name: str) -> bytes:
        data: bytes = self._client.get_object(Bucket=self._bucket, Key=name)["Body"].read()
        return data

    def write(self, name: str, data: bytes) -> None:
        self._client.put_object(Bucket=self._bucket, Key=name, Body=data)


def of_digit(rows: RawRows, *labels: str) -> RawRows:
    return RawRows(rows.name, rows.sha256, rows.frame.filter(rows.frame["label"].is_in(labels)))


def test_what_was_pinned_is_told_apart_checked_out_and_kept_by_gc(few: RawRows, s3: str, tmp_path: Path) -> None:
    lake = Lake(s3)
    lake.add(of_digit(few, "1", "2"))
    one = lake.pin("one", SALT)
    DeltaTable(f"{s3}/examples").delete("label = '2'")
    between = set(Objects(f"{s3}/examples").names(".parquet"))
    lake.add(of_digit(few, "3"))
    lake.pin("two", SALT)
    lake.add(of_digit(few, "4"))
    DeltaTable(f"{s3}/examples").delete("label = '4'")  # which nobody pinned
    DeltaTable(f"{s3}/examples").delete("label = '1'")

    named, before = sweep(s3, dry_run=True), set(Objects(f"{s3}/examples").names(".parquet"))
    swept, after = sweep(s3), set(Objects(f"{s3}/examples").names(".parquet"))

    assert named == swept
    assert len(before - after) == len(swept["examples"]) > 0
    assert between <= after
    assert len(lake.load(one)) == 20
    found = difference(lake, "one", "two")
    assert (len(found.added), len(found.removed), found.relabelled) == (10, 10, {})
    assert len(list(checkout(lake, one, tmp_path / "out", pictures=True).glob("*/*.png"))) == 20


def test_a_copy_is_kept_in_the_home_and_gives_nothing_that_another_home_made_the_lake_forget(
    few: RawRows, s3: str, tmp_path: Path
) -> None:
    ours, theirs = (Lake(s3, copies=tmp_path / name) for name in ("ours", "theirs"))
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    ours.add(few)
    pinned = ours.pin("all", SALT)
    first, again = ours.load(pinned), ours.load(pinned)
    copies = list((tmp_path / "ours" / "ready").iterdir())

    forgotten = theirs.forget("key", first.keys[0])

    assert (again.keys == first.keys).all()
    assert (len(copies), forgotten) == (1, 1)
    with pytest.raises(DataError, match="1 were forgotten"):
        ours.load(pinned)
    assert len(ours.load(ours.rest("all"))) == 99
    assert sweep(s3, copies=tmp_path / "ours")["ready"] == (copies[0].name,)


def test_copies_of_two_lakes_in_one_home_are_told_apart(few: RawRows, s3: str, tmp_path: Path) -> None:
    lakes = [Lake(f"{s3}/{name}", copies=tmp_path) for name in ("a", "b")]
    for lake in lakes:
        lake.add(few)
        lake.load(lake.pin("all", SALT))

    assert len(list((tmp_path / "ready").iterdir())) == 2


def halved(data: bytes) -> bytes:
    return data[: len(data) // 2]


def without_middle(data: bytes) -> bytes:
    return data[:100] + data[-2000:]


def flipped(data: bytes) -> bytes:
    return data[:4] + bytes(byte ^ 0xFF for byte in data[4:-4]) + data[-4:]


def with_another_footer(data: bytes) -> bytes:
    return data[:-300] + bytes(byte ^ 0xFF for byte in data[-300:-8]) + data[-8:]


@pytest.mark.parametrize("damage", [halved, without_middle, flipped, with_another_footer, lambda _: b""])
def test_a_damaged_object_is_damage_and_nothing_else_is_printed(
    few: RawRows, s3: str, damage: Callable[[bytes], bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    lake, objects = Lake(s3), Objects(f"{s3}/examples")
    lake.add(few)
    pinned = lake.pin("all", SALT)
    (name,) = objects.names(".parquet")
    objects.write(name, damage(objects.read(name)))

    with pytest.raises(DataError, match=f"The table {s3}/examples is damaged: ") as refused:
        lake.load(pinned)

    assert "\n" not in refused.value.problem
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def unreachable(s3: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AWS_ENDPOINT_URL", CLOSED)
    return s3


@pytest.fixture
def nobodys(s3: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", CLOSED)  # where a machine in a cloud asks who it is
    return s3


@pytest.fixture
def open_to_all(s3: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    return s3


@pytest.fixture
def missing(s3: str) -> str:
    return s3.replace("bucket-", "no-bucket-")


@pytest.mark.parametrize(
    ("place", "kind", "problem", "remedy"),
    [
        (
            "unreachable",
            NotReadyError,
            "The object store does not answer for {}/examples: Connection refused",
            "AWS_ENDPOINT_URL",
        ),
        ("nobodys", HomeError, "No credentials were given for {}/examples.", "AWS_ACCESS_KEY_ID"),
        ("open_to_all", HomeError, "The endpoint for {}/examples is not encrypted.", "AWS_ALLOW_HTTP"),
        ("missing", HomeError, "The bucket of {}/examples does not exist.", "data.lake"),
    ],
)
def test_a_store_that_cannot_be_used_is_explained(
    request: pytest.FixtureRequest, few: RawRows, place: str, kind: type[DemlopmentError], problem: str, remedy: str
) -> None:
    address = request.getfixturevalue(place)

    for verb in (Lake(address).snapshots, lambda: Lake(address).add(few)):
        with pytest.raises(kind) as refused:
            verb()

        assert refused.value.problem.startswith(
            problem.format(address).replace("examples", "pins" if verb.__name__ == "snapshots" else "examples")
        )
        assert remedy in refused.value.remedy


@pytest.mark.parametrize(
    ("said", "kind", "problem"),
    [
        (
            "Generic S3 error: 403 Forbidden: <Code>AccessDenied</Code>",
            HomeError,
            "The object store refuses a to the given credentials.",
        ),
        ("Error\n  ↳ Received redirect without LOCATION, this normally indicates", HomeError, "The bucket of a is elsewhere."),
        ('Unable to recognise URL "s3:///lake"', SettingsError, "a is no address of a lake."),
        ("Operation not supported", HomeError, "No credentials were given for a."),
        ("got 503 Service Unavailable", NotReadyError, "The object store does not answer for a: got 503 Service Unavailable."),
    ],
)
def test_what_a_store_says_is_put_in_our_words(said: str, kind: type[DemlopmentError], problem: str) -> None:
    found = bucket.refusal("a", said)

    assert type(found) is kind
    assert found.problem == problem


def test_what_no_store_said_is_not_put_in_its_mouth() -> None:
    assert bucket.refusal("a", "parquet: File out of specification: invalid utf8") is None
    assert bucket.refusal("a", "") is None


def test_commands_work_on_a_lake_in_an_object_store(s3: str, tmp_path: Path) -> None:
    def said(*words: str) -> Iterator[str]:
        done = run("data", *words, home=tmp_path / "var", DEMLOPMENT_DATA__LAKE=s3)
        assert (done.returncode, done.stderr) == (0, "")
        yield from done.stdout.splitlines()

    (ingested,) = said("ingest")
    home = Home(tmp_path / "var", s3)
    lake = Lake.of(home, Data())
    lake.load(lake.pin("all", SALT))

    assert ingested == "5000 rows: 5000 added, 0 known, 0 in quarantine."
    assert [line.split()[0] for line in said("snapshots")] == ["all"]
    assert next(said("show", "all")) == "all: 5000 rows, which are those that were pinned."
    assert list(said("compact")) == ["0 files moved into the lake with 0 predictions and 0 labels, 0 removed, 0 still in use."]
    assert list(said("gc", "--dry-run"))[-1] == "1 files would be deleted."  # the copy that loading left
    assert next(said("forget", "--source", "mnist-5k", "--yes")).startswith("5000 examples")
    assert list(said("gc"))[-1].endswith("files were deleted.")
    assert not (tmp_path / "var" / "lake").exists()
    assert Objects(f"{s3}/examples").names(".parquet") == []
