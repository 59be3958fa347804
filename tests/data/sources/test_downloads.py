"""A file is fetched once, whole and verified, whatever the server, the line or a kill does to it."""

import hashlib
import socket
import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from demlopment.data.sources import downloads
from demlopment.data.sources.downloads import download
from demlopment.errors import DataError, HomeError
from tests.data.sources.served import Served, serving
from tests.lifecycle.test_full_disk import disk, fill

__all__ = ["disk"]
CONTENT = bytes(range(256)) * 4000
MD5 = hashlib.md5(CONTENT).hexdigest()
INSTEAD = "Copy it here."


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving({"file.gz": CONTENT}) as server:
        yield server


def fetch(served: Served, path: Path, pauses: list[float] | None = None) -> None:
    pauses = [] if pauses is None else pauses
    download(f"{served.base}file.gz", path, MD5, instead=INSTEAD, pause=pauses.append)


def left(path: Path) -> list[str]:
    return sorted(each.name for each in path.parent.iterdir())


def test_a_file_is_there_whole_and_is_not_fetched_again(tmp_path: Path, served: Served) -> None:
    path = tmp_path / "new" / "file.gz"
    heard: list[tuple[int, int | None]] = []

    download(f"{served.base}file.gz", path, MD5, instead=INSTEAD, heard=lambda have, total: heard.append((have, total)))
    fetch(served, path)

    assert path.read_bytes() == CONTENT
    assert served.asked == [("file.gz", "", 200)]
    assert heard[-1] == (len(CONTENT), len(CONTENT))
    assert left(path) == ["file.gz"]


def test_a_broken_connection_is_taken_up_where_it_ended(tmp_path: Path, served: Served) -> None:
    served.breaks = [300_000, 400_000]

    fetch(served, tmp_path / "file.gz")

    assert (tmp_path / "file.gz").read_bytes() == CONTENT
    assert served.asked == [("file.gz", "", 200), ("file.gz", "bytes=300000-", 206), ("file.gz", "bytes=700000-", 206)]
    assert left(tmp_path / "file.gz") == ["file.gz"]


def test_a_server_without_ranges_gives_it_from_the_start(tmp_path: Path, served: Served) -> None:
    served.breaks, served.ranges = [300_000], False

    fetch(served, tmp_path / "file.gz")

    assert (tmp_path / "file.gz").read_bytes() == CONTENT
    assert [status for *_, status in served.asked] == [200, 200]


@pytest.mark.parametrize("tagged", [True, False])
def test_a_file_that_changes_between_the_tries_is_fetched_anew(tmp_path: Path, served: Served, *, tagged: bool) -> None:
    served.files["file.gz"], served.breaks = b"x" * len(CONTENT), [300_000]
    served.tag = '"old"' if tagged else ""

    def change(server: Served) -> None:
        if server.asked:
            server.files["file.gz"], server.tag = CONTENT, '"new"' if tagged else ""

    served.before = change

    fetch(served, tmp_path / "file.gz")

    assert (tmp_path / "file.gz").read_bytes() == CONTENT
    assert [status for *_, status in served.asked] == ([200, 200] if tagged else [200, 206, 200])


def test_wrong_bytes_are_set_aside_and_named(tmp_path: Path, served: Served) -> None:
    served.files["file.gz"] = b"other"

    with pytest.raises(DataError, match=f"gave a file with the MD5 .*, not {MD5}") as refused:
        fetch(served, tmp_path / "file.gz")

    assert refused.value.remedy == INSTEAD
    assert left(tmp_path / "file.gz") == ["file.gz.wrong"]
    served.files["file.gz"] = CONTENT
    fetch(served, tmp_path / "file.gz")
    assert (tmp_path / "file.gz").read_bytes() == CONTENT


def test_a_file_that_was_damaged_on_disk_is_fetched_anew(tmp_path: Path, served: Served) -> None:
    (tmp_path / "file.gz").write_bytes(CONTENT[:-1])

    fetch(served, tmp_path / "file.gz")

    assert (tmp_path / "file.gz").read_bytes() == CONTENT


@pytest.mark.parametrize("size", [len(CONTENT), len(CONTENT) + 5, 0])
def test_a_part_that_is_whole_empty_or_too_long_is_understood(tmp_path: Path, served: Served, size: int) -> None:
    (tmp_path / "file.gz.part").write_bytes((CONTENT + bytes(5))[:size])

    fetch(served, tmp_path / "file.gz")

    assert (tmp_path / "file.gz").read_bytes() == CONTENT
    assert left(tmp_path / "file.gz") == ["file.gz"]


def test_a_busy_server_is_asked_again_and_after_some_tries_no_more(tmp_path: Path, served: Served) -> None:
    pauses: list[float] = []
    served.statuses = [503, 429]
    fetch(served, tmp_path / "one", pauses)
    served.statuses = [503] * 9

    with pytest.raises(DataError, match="cannot be fetched: the answer was 503"):
        fetch(served, tmp_path / "two")

    assert (tmp_path / "one").read_bytes() == CONTENT
    assert pauses == [downloads.PAUSE, 2 * downloads.PAUSE]
    assert len(served.statuses) == 9 - downloads.TRIES


def test_a_connection_that_never_brings_anything_new_is_given_up(tmp_path: Path, served: Served) -> None:
    served.breaks, served.ranges = [300_000] * 9, False

    with pytest.raises(DataError, match="ended after 300000 of 1024000 bytes"):
        fetch(served, tmp_path / "file.gz")


def test_an_address_that_is_not_there_is_asked_once(tmp_path: Path, served: Served) -> None:
    with pytest.raises(DataError, match=r"/none was answered with 404 Not Found\."):
        download(f"{served.base}none", tmp_path / "none", MD5, instead=INSTEAD)

    assert len(served.asked) == 1


def test_a_server_that_falls_silent_is_left(tmp_path: Path, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "PATIENCE", 0.2)
    served.stalls_after, served.ranges = 1000, False

    with pytest.raises(DataError, match="timed out"):
        fetch(served, tmp_path / "file.gz")

    assert (tmp_path / "file.gz.part").stat().st_size == 1000


def test_without_a_network_it_is_said_what_to_do_instead(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/file.gz"

        with pytest.raises(DataError) as refused:
            download(address, tmp_path / "file.gz", MD5, instead=INSTEAD, pause=lambda _: None)

    assert str(refused.value) == f"{address} cannot be fetched: Connection refused. {INSTEAD}"


def test_redirections_are_followed_but_not_away_from_http(tmp_path: Path, served: Served) -> None:
    (tmp_path / "secret").write_bytes(CONTENT)
    served.moved = {"moved": f"{served.base}file.gz", "local": f"file://{tmp_path}/secret", "round": f"{served.base}round"}

    download(f"{served.base}moved", tmp_path / "file.gz", MD5, instead=INSTEAD)

    assert (tmp_path / "file.gz").read_bytes() == CONTENT
    for name in ("local", "round"):
        with pytest.raises(DataError, match="302"):
            download(f"{served.base}{name}", tmp_path / name, MD5, instead=INSTEAD, pause=lambda _: None)


def test_a_redirection_from_https_to_http_is_refused() -> None:
    asked = urllib.request.Request("https://example.org/file.gz")
    redirects = downloads._Redirects()

    with pytest.raises(DataError, match=r"leads to http://example\.org/file\.gz, away from https"):
        redirects.redirect_request(asked, None, 302, "Found", {}, "http://example.org/file.gz")
    followed = redirects.redirect_request(asked, None, 302, "Found", {}, "https://example.org/other.gz")
    assert followed.full_url == "https://example.org/other.gz"


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        urllib.request.HTTPSHandler,
        "https_open",
        lambda *_: (_ for _ in ()).throw(ssl.SSLCertVerificationError(1, "certificate verify failed")),
    )

    with pytest.raises(DataError, match="cannot be fetched: certificate verify failed"):
        download("https://127.0.0.1/file.gz", tmp_path / "file.gz", MD5, instead=INSTEAD, pause=lambda _: None)


def test_what_has_no_end_is_left(tmp_path: Path, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "MAX_BYTES", 1000)

    with pytest.raises(DataError, match="more than 1000 bytes"):
        fetch(served, tmp_path / "file.gz")


def test_a_full_disk_is_named_and_the_part_is_taken_up_once_there_is_room(disk: Path, served: Served) -> None:
    filled = fill(disk)
    with pytest.raises(HomeError, match="cannot be written"):
        fetch(served, disk / "file.gz")
    filled.unlink()

    fetch(served, disk / "file.gz")

    assert (disk / "file.gz").read_bytes() == CONTENT
