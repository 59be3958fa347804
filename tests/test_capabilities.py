"""What the page of capabilities claims is proved by what it names: tests that run everywhere, commands, files."""

import ast
import re
from pathlib import Path

import pytest
import typer

from demlopment.cli import app

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "capabilities.rst").read_text()
ROW = re.compile(r"^   \* - (\d+)\n     - (.+)\n     - (.+)\n     - (yes|partly|no)\n     - (.+)$", re.MULTILINE)
ROWS = {int(number): (name, ours, proof) for number, name, _, ours, proof in ROW.findall(PAGE)}
LITERAL = re.compile(r"``(.+?)``")
ASIDE = {"GET /v2/models/NAME", ".mar", "data.unexpected = stop"}


def collected(source: str) -> dict[str, bool]:
    """The tests that pytest finds in a file, and whether something may skip them."""
    tree = ast.parse(source)
    whole = any("importorskip" in line or ("pytestmark" in line and "skip" in line) for line in _statements(tree))
    return {
        each.name: whole or any("skip" in ast.unparse(mark) for mark in each.decorator_list) or _skips(each)
        for each in ast.walk(tree)
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name.startswith("test_")
    }


def _statements(tree: ast.Module) -> list[str]:
    return [ast.unparse(each) for each in tree.body if not isinstance(each, ast.FunctionDef | ast.ClassDef)]


def _skips(function: ast.AST) -> bool:
    """Whether it says so itself in its body."""
    named = [each.attr for each in ast.walk(function) if isinstance(each, ast.Attribute)]
    return "skip" in named or "importorskip" in named


def commands(group: typer.Typer) -> set[str]:
    """Every command as it is typed."""
    click = typer.main.get_command(group)
    found = set()
    for name, each in getattr(click, "commands", {}).items():
        found.add(name)
        found |= {f"{name} {below}" for below in getattr(each, "commands", {})}
    return found


def test_all_92_capabilities_have_an_answer() -> None:
    assert list(ROWS) == list(range(1, 93))
    assert len(re.findall(r"^   \* - \d+$", PAGE, re.MULTILINE)) == 92


@pytest.mark.parametrize("number", sorted(ROWS))
def test_what_is_claimed_is_proved(number: int) -> None:
    name, ours, proof = ROWS[number]
    literals = LITERAL.findall(proof)
    named = [each.split("::") for each in literals if "::" in each]
    said = [each for each in literals if "::" not in each and each not in ASIDE]

    for file, test in named:
        found = collected((ROOT / file).read_text())
        assert test in found, f"{name}: {file} has no {test}"
        assert not found[test], f"{name}: {test} may be skipped, which proves nothing"
    for each in said:
        if each.startswith("demlopment "):
            assert each.removeprefix("demlopment ") in commands(app), f"{name}: {each} is no command"
        elif each.startswith("make "):
            assert f"\n{each.removeprefix('make ')}: " in (ROOT / "Makefile").read_text(), f"{name}: {each} is no verb"
        else:
            assert (ROOT / each).exists(), f"{name}: {each} is not there"
    if ours == "yes":
        assert named or said, f"{name} is claimed and not proved"
    if ours == "no":
        assert not named, f"{name} is proved and not claimed"
    if ours == "partly":
        assert LITERAL.sub("", proof).strip(" ,;"), f"{name} does not say what is missing"


def test_a_test_that_may_be_skipped_is_seen() -> None:
    source = """
import pytest
torch = pytest.importorskip("torch")
def test_one() -> None: ...
"""
    marked = '@pytest.mark.skipif(True, reason="")\ndef test_one(): ...\ndef test_two(): ...\ndef test_three(): pytest.skip("")'

    assert collected(source) == {"test_one": True}
    assert collected(marked) == {"test_one": True, "test_two": False, "test_three": True}
