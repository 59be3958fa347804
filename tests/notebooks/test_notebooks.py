"""Every notebook runs from a clean home and gives what it shows: the same words, and numbers as far as they hold elsewhere."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.notebooks import executed

NOTEBOOKS = sorted(executed.FOLDER.glob("*.ipynb"))
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:e-?\d+)?")
WHOLE, PART, SHARE = 2, 0.02, 0.05  # by which numbers may differ: another processor adds in another order


def alike(shown: str, given: str) -> bool:
    """Whether two texts have the same words, and numbers that are about the same."""
    if NUMBER.sub("#", shown) != NUMBER.sub("#", given):
        return False
    return all(_about(one, other) for one, other in zip(NUMBER.findall(shown), NUMBER.findall(given), strict=True))


def _about(one: str, other: str) -> bool:
    a, b = (float(each.replace(",", "")) for each in (one, other))
    return abs(a - b) <= max(PART if "." in one or "e" in one else WHOLE, SHARE * abs(a))


def told(outputs: list[dict[str, Any]]) -> list[str]:
    """What a cell says: its text, or what its drawing is called and consists of."""
    said = []
    for each in outputs:
        if each["output_type"] == "stream":
            said.append("".join(each["text"]))
            continue
        svg = each["data"].get("image/svg+xml")
        said.append("".join(each["data"]["text/plain"]) if svg is None else _drawing("".join(svg)))
    return said


def _drawing(svg: str) -> str:
    root = ElementTree.fromstring(svg)
    assert len(list(root.iter())) > 3, "a drawing shows something"
    return root.attrib["aria-label"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_gives_what_it_shows(path: Path) -> None:
    notebook = json.loads(path.read_text())

    given = executed.outputs(notebook)

    shown = [told(cell["outputs"]) for cell in executed.code(notebook)]
    fresh = [told(each) for each in given]
    assert [len(each) for each in shown] == [len(each) for each in fresh]
    differing = [
        (a, b) for one, other in zip(shown, fresh, strict=True) for a, b in zip(one, other, strict=True) if not alike(a, b)
    ]
    assert not differing, "write it again: python -m tests.notebooks.executed"


def test_there_is_one_for_each_of_the_three_lessons_and_all_were_executed() -> None:
    for path in NOTEBOOKS:
        notebook = json.loads(path.read_text())
        cells = executed.code(notebook)

        assert notebook["nbformat"] == 4
        assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
        assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
        assert sum(bool(cell["outputs"]) for cell in cells) > 3
        assert any("image/svg+xml" in each.get("data", {}) for cell in cells for each in cell["outputs"])
        assert not re.search(r"/(?:tmp|home|root|work)/", path.read_text()), "nobody else has these folders"
    assert [path.stem for path in NOTEBOOKS] == ["experiment", "inference", "training"]


@pytest.mark.parametrize(
    ("shown", "given", "same"),
    [
        ("69.6% right, 206 times", "69.9% right, 207 times", True),
        ("69.6% right, 206 times", "75.0% right, 206 times", False),
        ("promote", "refuse", False),
        ("version 1.0", "version 2.0", False),
        ("6,456 labels", "9,456 labels", False),
    ],
)
def test_a_notebook_that_gives_something_else_is_noticed(shown: str, given: str, *, same: bool) -> None:
    assert alike(shown, given) is same


def test_a_cell_that_fails_is_told_with_its_number() -> None:
    cells = [{"cell_type": "code", "source": ["x = 1\n", "x + 1"]}, {"cell_type": "code", "source": ["y"]}]

    assert executed.outputs({"cells": cells[:1]})[0][0]["data"] == {"text/plain": "2"}
    with pytest.raises(RuntimeError, match=r"<cell 2>"):
        executed.outputs({"cells": cells})
