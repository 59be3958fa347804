"""The examples in docstrings run, and give what they say."""

import doctest
import importlib
import pkgutil

import pytest

import demlopment

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(demlopment.__path__, "demlopment.")
    # One lives in archives, beside a copy of images.py or row.py; the other needs Dagster, and its own tests import it.
    if module.name not in ("demlopment.handler", "demlopment.orchestrate")
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))

    assert result.failed == 0


def test_some_modules_have_examples() -> None:
    finder = doctest.DocTestFinder()

    examples = [test for name in MODULES for test in finder.find(importlib.import_module(name)) if test.examples]

    assert len(examples) > 3
