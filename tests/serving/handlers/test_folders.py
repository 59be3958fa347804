"""Folders of archives: nobody shares one by accident, and a run that was killed leaves none behind."""

from pathlib import Path

from demlopment.serving.handlers import folders


def test_two_registrations_of_one_name_have_two_folders(tmp_path: Path) -> None:
    first, second = folders.fresh(tmp_path, "echo-1.0"), folders.fresh(tmp_path, "echo-1.0")

    assert first != second
    assert first.is_absolute()
    assert list(first.iterdir()) == list(second.iterdir()) == []


def test_a_title_from_an_archive_leads_nowhere_else(tmp_path: Path) -> None:
    folder = folders.fresh(tmp_path / "root", "echo-../../../out/" + "x" * 300)

    assert folder.parent == tmp_path / "root" / folders.ARCHIVES


def test_what_a_former_run_left_is_swept_except_packages_that_are_whole(tmp_path: Path) -> None:
    (folders.fresh(tmp_path, "echo-1.0") / "handler.py").touch()
    (tmp_path / "work" / "W-9500").mkdir(parents=True)
    for name in ("digest", f"other{folders.UNFINISHED}"):
        (tmp_path / folders.INSTALLED / name).mkdir(parents=True)

    folders.sweep(tmp_path)

    assert list(tmp_path.iterdir()) == [tmp_path / folders.INSTALLED]
    assert [each.name for each in (tmp_path / folders.INSTALLED).iterdir()] == ["digest"]


def test_there_is_nothing_to_sweep_before_the_first_run(tmp_path: Path) -> None:
    folders.sweep(tmp_path / "nowhere")

    assert list(tmp_path.iterdir()) == []
