"""Official data sets: fetched from a server or taken from a folder, verified, and ingested as their parts."""

import gzip
import hashlib
import io
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from demlopment.data.lake import Lake
from demlopment.data.sources import holdings
from demlopment.data.sources.holdings import Holdings, fetched, given
from demlopment.data.sources.official import NAMES, OFFICIAL, Official
from demlopment.errors import DataError
from tests.data.sources.served import Served, serving
from tests.data.sources.written import idx_bytes
from tests.fakes import MemoryStore, without_runs
from tests.test_cli import assert_two_sentences, run

COUNT = 12
COMMAND = """
import sys
from dataclasses import replace
from demlopment import cli
from demlopment.data.sources.official import OFFICIAL
base, *sums = sys.argv.pop(1).split()
OFFICIAL["mnist"] = replace(OFFICIAL["mnist"], base=base, sums=dict(zip(OFFICIAL["mnist"].sums, sums)))
cli.main()
"""


def files_of(name: str) -> dict[str, bytes]:
    """Small files in the place of the published ones, each part with other pictures."""
    files = {}
    for number, part in enumerate(OFFICIAL[name].parts):
        labels = np.arange(COUNT) % 10
        table = np.zeros((COUNT, 8), np.int32)
        table[:, 0], table[:, 2] = labels, 100 + labels
        noise = np.random.default_rng(number).integers(0, 256, (COUNT, 20, 20), np.uint8)  # no two become alike when prepared
        files[part.pictures] = gzip.compress(idx_bytes(np.pad(noise, ((0, 0), (4, 4), (4, 4)))), mtime=0)
        files[part.labels] = gzip.compress(idx_bytes(table if "idx2-int" in part.labels else labels.astype(np.uint8)), mtime=0)
        if part.mapping:
            files[part.mapping] = "".join(f"{label} {48 + label}\n" for label in range(10)).encode()
    return files


def published(name: str) -> dict[str, bytes]:
    """What would be downloaded."""
    if OFFICIAL[name].zipped is None:
        return files_of(name)
    files = files_of("emnist-balanced") | files_of("emnist-letters")  # one download for both
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w") as packed:
        for file, data in {**files, "emnist-byclass-mapping.txt": b"unneeded"}.items():
            packed.writestr(zipfile.ZipInfo(f"gzip/{file}"), data)
    return {"gzip.zip": kept.getvalue()}


def small(name: str, base: str, files: dict[str, bytes]) -> Official:
    return replace(OFFICIAL[name], base=base, sums={file: hashlib.md5(data).hexdigest() for file, data in files.items()})


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A server that has small files for every set, and a catalogue that says so."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving({}) as server:
        for name in ("mnist", "qmnist", "emnist-balanced", "emnist-letters"):
            files = published(name)
            server.files |= files
            monkeypatch.setitem(OFFICIAL, name, small(name, server.base, files))
        yield server


def added(held: Holdings) -> tuple[MemoryStore, list[tuple[int, int, int]]]:
    store = MemoryStore()
    lake = Lake("memory", lambda _: store)
    counts = [lake.add(source) for source in (*held.sources, *held.sources)]
    return store, [(each.added, each.known, each.rejected) for each in counts]


@pytest.mark.parametrize("name", ["mnist", "qmnist", "emnist-balanced"])
def test_a_set_is_fetched_verified_and_ingested_as_its_parts_once(served: Served, tmp_path: Path, name: str) -> None:
    held = fetched(name, tmp_path / "downloads")
    asked = len(served.asked)
    fetched(name, tmp_path / "downloads")

    store, counts = added(held)

    examples = store.read("examples")
    assert [source.name for source in held.sources] == [part.name for part in OFFICIAL[name].parts]
    assert counts == [(COUNT, 0, 0)] * 2 + [(0, COUNT, 0)] * 2
    assert examples["licence"].unique().to_list() == [OFFICIAL[name].licence]
    assert len(served.asked) == asked == len(OFFICIAL[name].sums)
    assert set(examples["writer"].unique()) == ({f"nist-{100 + n}" for n in range(10)} if name == "qmnist" else {None})
    assert held.unverified == ()


def test_of_a_zip_only_what_is_needed_is_unpacked_and_what_was_damaged_is_unpacked_again(
    served: Served, tmp_path: Path
) -> None:
    held = fetched("emnist-balanced", tmp_path)
    folder = tmp_path / "emnist"
    needed = {file for part in OFFICIAL["emnist-balanced"].parts for file in part.files}
    victim = folder / "emnist-balanced-test-labels-idx1-ubyte.gz"
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-9] + b"x" + whole[-8:])

    again = fetched("emnist-balanced", tmp_path)

    assert {path.name for path in folder.iterdir()} == needed | {"gzip.zip"}
    assert victim.read_bytes() == whole
    assert [source.sha256 for source in again.sources] == [source.sha256 for source in held.sources]


@pytest.mark.parametrize("name", ["mnist", "emnist-balanced"])
def test_a_folder_of_the_users_gives_the_same_rows_and_asks_nobody(served: Served, tmp_path: Path, name: str) -> None:
    from_server, _ = added(fetched(name, tmp_path / "downloads"))
    served.asked.clear()
    for file, data in published(name).items():
        (tmp_path / file).write_bytes(data)
    one = tmp_path / next(iter(OFFICIAL[name].sums))

    stores = [added(given(name, path, tmp_path / "new"))[0] for path in (tmp_path, one)]

    rows = without_runs(from_server.read("examples"))
    assert all(without_runs(store.read("examples")).equals(rows) for store in stores)
    assert not served.asked


@pytest.mark.parametrize("name", ["mnist", "emnist-balanced"])
def test_files_that_were_unpacked_are_taken_and_said_to_be_unverified(served: Served, tmp_path: Path, name: str) -> None:
    from_server, _ = added(fetched(name, tmp_path / "downloads"))
    mine = tmp_path / "mine"
    (mine / "gzip").mkdir(parents=True)
    for file, data in files_of(name).items():
        place = mine / "gzip" / file if name.startswith("emnist") else (mine / file).with_suffix("")
        place.write_bytes(data if name.startswith("emnist") else gzip.decompress(data))

    held = given(name, mine, tmp_path / "new")

    pixels = added(held)[0].read("examples").select("key", "label", "source")
    assert pixels.equals(from_server.read("examples").select("key", "label", "source"))
    assert len(held.unverified) == len({file for part in OFFICIAL[name].parts for file in part.files})


def test_a_file_of_the_users_that_is_another_or_missing_is_named(served: Served, tmp_path: Path) -> None:
    files = published("mnist")
    for file, data in files.items():
        (tmp_path / file).write_bytes(data)
    victim = tmp_path / "t10k-labels-idx1-ubyte.gz"
    victim.write_bytes(files[victim.name] + b"x")

    with pytest.raises(DataError, match=f"{victim} has the MD5"):
        given("mnist", tmp_path, tmp_path / "new")
    victim.unlink()
    with pytest.raises(DataError, match=r"lacks t10k-labels-idx1-ubyte\.gz"):
        given("mnist", tmp_path, tmp_path / "new")
    with pytest.raises(DataError, match="nowhere cannot be read: No such file"):
        given("mnist", tmp_path / "nowhere", tmp_path / "new")


def test_a_zip_without_a_needed_member_or_with_one_that_is_too_large_is_refused(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holdings, "MAX_MEMBER", 100)

    with pytest.raises(DataError, match=r"has no member 'gzip/emnist-balanced-train-images-idx3-ubyte\.gz' of at most 100"):
        fetched("emnist-balanced", tmp_path)


def test_the_catalogue_speaks_https_names_every_file_it_needs_and_reserves_its_names() -> None:
    for official in OFFICIAL.values():
        needed = {file for part in official.parts for file in part.files}
        assert official.base.startswith("https://")
        assert official.base.endswith("/")
        assert official.zipped or needed == set(official.sums)
        assert all(re.fullmatch("[0-9a-f]{32}", md5) for md5 in official.sums.values())
    assert len(NAMES) == 2 * len(OFFICIAL) == 8


def command(served: Served, home: Path, *arguments: str) -> list[str]:
    said = " ".join((served.base, *OFFICIAL["mnist"].sums.values()))
    return [sys.executable, "-c", COMMAND, said, "--home", str(home), "data", "ingest", "mnist", *arguments]


def test_a_command_that_is_killed_in_the_middle_of_a_download_and_repeated_ends_in_the_same_table(
    served: Served, tmp_path: Path
) -> None:
    subprocess.run(command(served, tmp_path / "alone"), check=True, capture_output=True)
    served.stalls_after, served.asked = 100, []
    with subprocess.Popen(command(served, tmp_path / "killed"), stderr=subprocess.DEVNULL) as killed:
        assert served.stalled.wait(60)
        part = tmp_path / "killed" / "downloads" / "mnist" / "train-images-idx3-ubyte.gz.part"
        while killed.poll() is None and not (part.exists() and part.stat().st_size == 100):
            pass
        killed.send_signal(signal.SIGKILL)
    served.stalls_after = None
    served.resume.set()

    first = subprocess.run(command(served, tmp_path / "killed"), check=True, capture_output=True, text=True)
    again = subprocess.run(command(served, tmp_path / "killed"), check=True, capture_output=True, text=True)

    assert killed.returncode == -signal.SIGKILL
    assert ("train-images-idx3-ubyte.gz", "bytes=100-", 206) in served.asked
    assert len(served.asked) == 5
    assert first.stdout.splitlines()[0] == f"mnist-train: {COUNT} rows: {COUNT} added, 0 known, 0 in quarantine."
    assert again.stdout.splitlines()[1] == f"mnist-test: {COUNT} rows: 0 added, {COUNT} known, 0 in quarantine."
    tables = [Lake(tmp_path / name / "lake") for name in ("killed", "alone")]
    pins = [lake.pin("all", "demlopment-1") for lake in tables]
    assert pins[0].digest == pins[1].digest


def test_the_command_line_says_what_it_cannot_do(tmp_path: Path) -> None:
    unknown = run("data", "ingest", "cifar", home=tmp_path)
    renamed = run("data", "ingest", "mnist", "--name", "x", home=tmp_path)
    elsewhere = run("data", "ingest", "mnist", "--from", tmp_path, home=tmp_path)

    assert_two_sentences(unknown, "'cifar'", "emnist-letters")
    assert renamed.returncode == 2
    assert_two_sentences(elsewhere, "lacks train-images-idx3-ubyte.gz")
