"""One endpoint that the tests of the three ports share: each leaves it as it found it, or uses a model of its own."""

from collections.abc import Iterator

import pytest

from tests.serving.endpoint import Running, registered, running


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Two serving processes with digits 1.0, which is the default, and 2.0."""
    root = tmp_path_factory.mktemp("endpoint")
    registered(root, "1.0", "2.0")
    with running(root) as started:
        yield started
