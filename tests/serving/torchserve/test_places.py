"""Where TorchServe's files are, and that a run which was killed leaves none of them for ever."""

from pathlib import Path

import pytest

from demlopment.errors import HomeError
from demlopment.home import Home
from demlopment.serving.torchserve.places import Places


def test_the_next_run_removes_what_a_killed_one_has_unpacked_and_keeps_its_logs(tmp_path: Path) -> None:
    places = Places.of(Home(tmp_path / ("deep" * 30) / "home"))
    places.prepare()
    (places.logs / "ts_log.log").write_text("words")
    left = places.scratch
    (left / "models").mkdir()

    places.prepare()

    assert not left.exists()
    assert (places.logs / "ts_log.log").read_text() == "words"
    now = places.scratch
    places.clear()
    assert not now.exists()
    places.clear()


def test_a_link_that_somebody_else_has_put_there_is_not_followed(tmp_path: Path) -> None:
    places = Places.of(Home(tmp_path))
    precious = tmp_path / "precious"
    precious.mkdir()
    places.root.mkdir(parents=True)
    (places.root / "tmp").symlink_to(precious)

    places.prepare()

    assert precious.exists()
    places.clear()


def test_a_folder_for_temporary_files_that_is_too_deep_for_a_socket_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    places = Places.of(Home(tmp_path))

    with pytest.raises(HomeError, match="too long a path: the sockets of TorchServe's workers may have 107 bytes"):
        places.prepare()
    places.clear()
