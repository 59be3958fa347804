"""The shape of the house: rooms that never import each other, a kernel that knows no room, and a page that lists all files."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import demlopment

PACKAGE = Path(demlopment.__file__).parent
ROOMS = {"data", "training", "evaluation", "serving", "monitoring"}
ORCHESTRATION = "orchestrate.py"
UPPER = {"lifecycle", "web", "cli", "commands"}
HEAVY = {"torch", "mlflow", "polars", "deltalake", "dataframely", "onnxruntime", "scipy", "starlette", "httptools"}


def names_imported_by(source: str) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            names.update({f"{node.module}", *(f"{node.module}.{alias.name}" for alias in node.names)})
    return names


def rooms_imported_by(source: str) -> set[str]:
    ours = {name.split(".")[1] for name in names_imported_by(source) if name.startswith("demlopment.")}
    return ours & (ROOMS | UPPER)


def test_the_rule_itself_sees_every_way_to_import() -> None:
    assert rooms_imported_by("import demlopment.data.lake") == {"data"}
    assert rooms_imported_by("from demlopment import serving") == {"serving"}
    assert rooms_imported_by("from demlopment.training.fit import fit") == {"training"}
    assert rooms_imported_by("def f():\n    from demlopment.web import report") == {"web"}


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_imports_no_other_room(room: str) -> None:
    files = sorted((PACKAGE / room).glob("**/*.py"))

    strangers = {file.name: rooms_imported_by(file.read_text()) - {room} for file in files}

    assert files, f"no files under {PACKAGE / room}; has the room moved?"
    assert not any(strangers.values()), strangers


def test_the_kernel_imports_no_room() -> None:
    files = sorted(set(PACKAGE.glob("*.py")) - {PACKAGE / name for name in ("cli.py", "__main__.py", ORCHESTRATION)})

    strangers = {file.name: rooms_imported_by(file.read_text()) for file in files}

    assert len(files) > 5
    assert not any(strangers.values()), strangers


def test_the_kernel_imports_nothing_heavy() -> None:
    # The handler runs inside TorchServe, and Dagster loads its own.
    kernel = set(PACKAGE.glob("*.py")) - {PACKAGE / name for name in ("handler.py", ORCHESTRATION)}

    weights = {file.name: {name.split(".")[0] for name in names_imported_by(file.read_text())} & HEAVY for file in kernel}

    assert weights
    assert not any(weights.values()), weights


def test_a_look_of_the_monitors_which_goes_on_beside_serving_loads_no_training() -> None:
    command = "import sys, demlopment.lifecycle.watching; print(sorted({'torch', 'mlflow', 'onnxruntime'} & set(sys.modules)))"

    loaded = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)

    assert loaded.stdout == "[]\n", "torch alone takes a quarter of a gigabyte"


def test_the_lifecycle_knows_neither_the_web_nor_the_command_line() -> None:
    files = sorted((PACKAGE / "lifecycle").glob("**/*.py"))

    strangers = {file.name: rooms_imported_by(file.read_text()) & {"web", "cli", "commands"} for file in files}

    assert files
    assert not any(strangers.values()), strangers


def test_one_module_knows_dagster_and_no_module_knows_that_one() -> None:
    files = sorted(PACKAGE.glob("**/*.py"))
    imported = {str(file.relative_to(PACKAGE)): names_imported_by(file.read_text()) for file in files}

    knowing = {name for name, names in imported.items() if any(each.split(".")[0].startswith("dagster") for each in names)}
    using = {name for name, names in imported.items() if any(each.startswith("demlopment.orchestrate") for each in names)}

    assert (knowing, using) == ({ORCHESTRATION}, set())


def test_every_module_says_its_place_in_the_loop() -> None:
    files = sorted(PACKAGE.glob("**/*.py"))

    silent = [str(file.relative_to(PACKAGE)) for file in files if not ast.get_docstring(ast.parse(file.read_text()))]

    assert files
    assert not silent


def test_the_architecture_page_names_every_module_and_no_other() -> None:
    page = (PACKAGE.parents[1] / "ARCHITECTURE.md").read_text()
    tree = page.split("```")[1]
    modules = {file.stem for file in PACKAGE.glob("**/*.py") if not file.stem.startswith("__")}

    named = {word for word in tree.replace("·", " ").replace(".py", "").split() if word.isidentifier()}

    assert modules
    assert modules <= named, f"ARCHITECTURE.md does not name {sorted(modules - named)}"
