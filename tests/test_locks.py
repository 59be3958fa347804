"""The locks are whole: what one of them names requires nothing that neither it nor requirements.lock names."""

import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
INSTALLED_BY = {"requirements.lock": "venv_pip", "development.lock": "venv_development", "orchestrate.lock": "venv_orchestrate"}


def pins(lock: str) -> dict[str, str]:
    lines = (ROOT / lock).read_text().split()
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)}


def left_out() -> dict[str, set[str]]:
    """What pyproject.toml has the resolver believe that a package does not require."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"].get("dependency-metadata", [])
    return {canonicalize_name(each["name"]): {Requirement(word).name for word in each["requires-dist"]} for each in told}


def required(package: str) -> list[Requirement]:
    """Without what extras of it would add."""
    told = [Requirement(each) for each in requires(package) or []]
    needed = [each for each in told if each.marker is None or each.marker.evaluate({"extra": ""})]
    known = left_out()
    return [each for each in needed if package not in known or each.name in known[package]]


@pytest.mark.parametrize("lock", INSTALLED_BY)
def test_what_the_packages_of_a_lock_require_is_in_it_or_in_what_everybody_has(lock: str) -> None:
    there = pins("requirements.lock") | pins(lock)
    try:
        needed = [(package, each) for package in pins(lock) for each in required(package)]
    except PackageNotFoundError as missing:
        pytest.skip(f"{missing.name} of {lock} is missing: make {INSTALLED_BY[lock]}")

    wanting = [
        f"{package} requires {each}"
        for package, each in needed
        if (name := canonicalize_name(each.name)) not in there or not each.specifier.contains(there[name], prereleases=True)
    ]
    assert not wanting, "run `make lock`"
