"""README, posts and how-to pages are read from the first line to the last: what they show is typed, and is printed."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.documents.blocks import DOCUMENTS, ROOT, RUN, beginning, blocks, name
from tests.documents.reader import left

# How many blocks a document has that are not run, each with its reason beside it.
NOT_RUN = {
    "README": 2,
    "how-to/deploy": 1,
    "how-to/upgrade": 1,
    "posts/migration_from_torchserve": 1,
    "posts/scaling_out": 3,
    "posts/serving_manage_monitor": 2,
}


@pytest.mark.timeout(1200)  # one may wait until another, where it begins, has been read
@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_what_a_document_shows_is_what_happens(document: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    needed = [each for each in ("bash", "curl") if shutil.which(each) is None]
    if needed:
        pytest.skip(f"{' and '.join(needed)} is missing: apt-get install {' '.join(needed)}")
    base = tmp_path_factory.getbasetemp()
    shelf = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "documents"

    faults = json.loads((left(document, shelf) / "faults.json").read_text())

    assert not faults, "\n".join(faults)


def test_blocks_that_are_not_run_have_a_reason_and_are_counted() -> None:
    found = {name(each): [block for block in blocks(each.read_text()) if block.reason is not None] for each in DOCUMENTS}

    silent = [(document, block.line) for document, unrun in found.items() for block in unrun if not block.reason]

    assert not silent
    assert {document: len(unrun) for document, unrun in found.items() if unrun} == NOT_RUN


def test_nothing_to_be_typed_hides_in_a_block_that_nobody_runs() -> None:
    shown = [(name(each), block) for each in DOCUMENTS for block in blocks(each.read_text())]

    hidden = [(document, block.line) for document, block in shown if block.language not in RUN and "$ " in block.text]
    empty = [(document, block.line) for document, block in shown if block.language == "console" and "$ " not in block.text]
    # A block after a bare `::` has no language, and would be typed by nobody.
    bare = [
        (name(each), line)
        for each in DOCUMENTS
        for line in each.read_text().splitlines()
        if line.endswith("::") and not line.lstrip().startswith(".. ")
    ]

    assert len(shown) > 5
    assert not hidden
    assert not empty
    assert not bare


def test_a_document_that_begins_elsewhere_names_one_that_is_there() -> None:
    begun = {name(each): beginning(each) for each in DOCUMENTS}

    assert not [document for document, before in begun.items() if before is not None and before not in DOCUMENTS]
    assert ROOT / "README.rst" in DOCUMENTS


def test_no_document_has_a_variable_typed_that_it_did_not_set() -> None:
    typed = [
        (name(each), block.text)
        for each in DOCUMENTS
        for block in blocks(each.read_text())
        if block.language in ("console", "sh")
    ]

    used = {(document, variable) for document, text in typed for variable in re.findall(r"\$\{?(DEMLOPMENT_\w+)", text)}
    given = {(document, variable) for document, text in typed for variable in re.findall(r"\b(DEMLOPMENT_\w+)=", text)}

    assert len(given) > 3
    assert not used - given
