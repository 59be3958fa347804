"""Whatever the loop makes says which code made it."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from demlopment.data import Lake, returned
from demlopment.lifecycle import provenance
from demlopment.lifecycle.collect import everything
from demlopment.lifecycle.provenance import commit, edited, told
from demlopment.settings import Data
from tests.fakes import MemoryStore


def test_a_pin_says_which_code_made_it() -> None:
    lake = Lake("memory", MemoryStore)
    lake.add(returned(np.full((1, 28, 28), np.eye(28) * 255).astype(np.uint8), ["1"], ["request-1"]))

    everything(lake, Data(), "all")

    assert re.fullmatch(r"[0-9a-f]{40}|unknown", commit())
    assert lake.named("all").commit == commit()


def git(folder: Path, *command: str) -> None:
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@nowhere")
    subprocess.run(["git", *who, *command], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package in a checkout of its own, taken for ours."""
    package = tmp_path / "src" / "ours"
    package.mkdir(parents=True)
    (package / "loop.py").write_text("turn = 1\n")
    (tmp_path / "notes.txt").write_text("a note\n")
    monkeypatch.setattr(provenance, "PACKAGE", package)
    return package


def committed(package: Path) -> Path:
    root = package.parents[1]
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "first")
    return root


def test_a_checkout_is_edited_where_git_knows_other_bytes_or_does_not_know_a_file_of_ours(package: Path) -> None:
    root = committed(package)
    clean = edited()
    (root / "scratch.txt").write_text("of no matter")
    beside = edited()
    (package / "loop.py").write_text("turn = 2\n")
    changed = edited()
    (package / "loop.py").write_text("turn = 1\n")
    (package / "new.py").write_text("turn = 3\n")

    assert (clean, beside, changed, edited()) == (False, False, True, True)


def test_outside_a_checkout_nobody_can_say(package: Path) -> None:
    assert (commit(), edited()) == ("unknown", None)


@pytest.mark.parametrize(("edited", "said"), [(False, ""), (True, "edited after the commit c0ffee"), (None, "no checkout")])
def test_a_person_is_told_unless_the_commit_says_all(edited: bool | None, said: str) -> None:  # noqa: FBT001
    found = told("c0ffee", edited=edited)

    assert said in found if said else found == ""
