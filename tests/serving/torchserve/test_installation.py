"""What is missing to start the real TorchServe is said before anything is started, and what to install."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from demlopment.errors import SettingsError
from demlopment.serving.torchserve import installation

JAVA_17 = 'openjdk version "17.0.15" 2025-04-15'


def program(path: Path, says: str, *, status: int = 0, to: str = "") -> Path:
    """An executable that prints some lines and ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\ncat <<'END' {to}\n{says}\nEND\nexit {status}\n")
    path.chmod(0o755)
    return path


def java(folder: Path, says: str = JAVA_17, status: int = 0) -> dict[str, str]:
    """Variables of a machine whose Java says this."""
    program(folder / "bin" / "java", says, status=status, to=">&2")
    return {"JAVA_HOME": str(folder)}


def environment(folder: Path, version: str = "0.12.0", missing: str = "") -> Path:
    """A virtual environment with a TorchServe of that version."""
    program(folder / "bin" / "python", f'{{"version": "{version}", "home": "/site", "missing": [{missing}]}}')
    return folder


def test_what_is_there_is_found(tmp_path: Path) -> None:
    held = environment(tmp_path / "env")

    found = installation.found(held, java(tmp_path / "java"))

    assert (found.java, found.python) == (tmp_path / "java" / "bin" / "java", held / "bin" / "python")
    assert found.classes == "/site/ts/frontend/*"


@pytest.mark.parametrize(
    ("says", "status", "named"),
    [
        ('java version "1.8.0_392"', 0, "TorchServe needs Java 11, and {java} says 'java version \"1.8.0_392\"'."),
        ('openjdk version "10.0.2" 2018-07-17', 0, "TorchServe needs Java 11, and {java} says 'openjdk"),
        ("no such thing", 0, "TorchServe needs Java 11, and {java} says 'no such thing'."),
        ("broken", 127, "TorchServe needs Java, and {java} cannot be run."),
    ],
)
def test_a_java_that_is_too_old_or_none_is_named(tmp_path: Path, says: str, status: int, named: str) -> None:
    variables = java(tmp_path / "java", says, status)

    with pytest.raises(SettingsError) as refused:
        installation.found(environment(tmp_path / "env"), variables)

    assert refused.value.problem.startswith(named.format(java=tmp_path / "java" / "bin" / "java"))
    assert "openjdk-17-jre-headless" in refused.value.remedy


def test_a_machine_without_java_is_told_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"there is no java on the PATH\. Install a Java runtime of version 11 or newer"):
        installation.found(environment(tmp_path / "env"), {"PATH": str(tmp_path)})


@pytest.mark.parametrize(
    ("version", "missing", "named"),
    [
        ("", "", "{env} holds no TorchServe."),
        ("0.9.0", "", "{env} holds TorchServe 0.9.0, and 0.12.0 is needed."),
        ("0.12.0", '"torch", "cv2"', "{env} holds TorchServe without torch, cv2, which its workers need."),
    ],
)
def test_an_environment_without_the_right_torchserve_is_named(tmp_path: Path, version: str, missing: str, named: str) -> None:
    held = environment(tmp_path / "env", version, missing)

    with pytest.raises(SettingsError) as refused:
        installation.found(held, java(tmp_path / "java"))

    assert refused.value.problem == named.format(env=held)
    assert "pip install 'demlopment[torchserve]'" in refused.value.remedy
    assert "DEMLOPMENT_ENDPOINT__TORCHSERVE_ENVIRONMENT" in refused.value.remedy


def test_a_folder_that_is_no_environment_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"{tmp_path} is no Python environment."):
        installation.found(tmp_path, java(tmp_path / "java"))


def test_our_own_environment_is_looked_at_with_the_python_that_runs_us(tmp_path: Path) -> None:
    """Which of the two it is depends on where the tests run; that its script runs does not."""
    if importlib.util.find_spec("ts") is None:
        with pytest.raises(SettingsError, match=f"{re.escape(sys.prefix)} holds no TorchServe"):
            installation.found(None, java(tmp_path))
    else:
        assert installation.found(None, java(tmp_path)).python == Path(sys.executable)
