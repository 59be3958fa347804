"""What a client may register, in TorchServe's words; most of these cases go through a real endpoint in test_management.py."""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demlopment.errors import RequestError
from demlopment.serving.configuration.snapshot import Preset
from demlopment.serving.fetch import Rules
from demlopment.serving.registration import Registration, Terms, discard, verified
from demlopment.settings import Endpoint
from tests.serving.endpoint import packed
from tests.serving.site import given_out

ANYWHERE = Terms(fetching=Rules((re.compile(".*"),), private=True))
STRICT = Terms(strict=True)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A model store that holds digits 1.0."""
    return packed(tmp_path / "store", "1.0").parent


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server and the folder that it gives out, which holds digits 2.0."""
    folder = packed(tmp_path / "site", "2.0").parent
    with given_out(folder) as url:
        yield url, folder


def register(store: Path, terms: Terms | None = None, *, is_json: bool = False, **values: Any) -> Registration:
    return verified({"url": "digits-1.0.mar", **values}, store, 4, terms, is_json=is_json)


def refusal(store: Path, terms: Terms | None = None, **values: Any) -> tuple[int, str, str]:
    with pytest.raises(RequestError) as refused:
        register(store, terms, **values)
    return refused.value.status, refused.value.kind, str(refused.value)


def test_what_a_request_does_not_say_comes_from_the_settings(store: Path) -> None:
    terms = Terms.of(Endpoint(default_workers=2, response_timeout=30, startup_timeout=40, job_queue_size=7))

    said = register(store, terms, initial_workers="1", response_timeout=5, startup_timeout="6").version
    silent = register(store, terms, response_timeout=-1, startup_timeout="soon").version
    default = register(store).version

    assert (said.min_workers, said.response_timeout, said.startup_timeout) == (1, 5, 6)
    assert (silent.min_workers, silent.max_workers) == (2, 2)
    assert (silent.response_timeout, silent.startup_timeout, silent.job_queue_size) == (30, 40, 7)
    assert (default.min_workers, default.batch_size, default.max_batch_delay) == (0, 1, 100)


@pytest.mark.parametrize(
    ("terms", "is_json", "values", "delay"),
    [
        (None, True, {}, 100),
        (STRICT, True, {}, -10_000),
        (STRICT, False, {}, 100),
        (STRICT, True, {"max_batch_delay": 50}, 50),
    ],
)
def test_a_json_body_without_a_delay_gets_upstreams_strange_one_only_when_strict(
    store: Path, terms: Terms | None, *, is_json: bool, values: dict[str, Any], delay: int
) -> None:
    assert register(store, terms, is_json=is_json, **values).version.max_batch_delay == delay


@pytest.mark.parametrize(("name", "value"), [("batch_size", 0), ("max_batch_delay", -1), ("initial_workers", 5)])
def test_a_number_that_makes_no_sense_is_refused_by_name(store: Path, name: str, value: int) -> None:
    status, kind, message = refusal(store, None, **{name: value})

    assert (status, kind) == (400, "BadRequestException")
    assert message.startswith(f"{name} is {value}. Ask for ")


@pytest.mark.parametrize("number", [2**31, -(2**31) - 1, 10**400, str(10**400)])
def test_a_number_beyond_32_bits_is_the_default(store: Path, number: int | str) -> None:
    names = ("initial_workers", "batch_size", "max_batch_delay", "response_timeout", "startup_timeout")

    values: dict[str, Any] = dict.fromkeys(names, number)
    version = register(store, **values).version

    assert version == register(store).version


def test_by_the_letter_numbers_that_make_no_sense_are_taken(store: Path) -> None:
    version = register(store, STRICT, initial_workers=-1, batch_size=-3, max_batch_delay=-5).version

    assert (version.min_workers, version.max_workers, version.batch_size, version.max_batch_delay) == (0, 0, -3, -5)


def test_what_the_configuration_says_of_a_version_wins_over_the_request(store: Path) -> None:
    presets = (Preset("digits", "1.0", batch_size=8, response_timeout=9), Preset("digits", "2.0", batch_size=16))

    version = register(store, Terms(presets=presets), batch_size=4, max_batch_delay=20).version

    assert (version.batch_size, version.max_batch_delay, version.response_timeout) == (8, 20, 9)


def test_by_the_letter_a_file_of_the_store_itself_cannot_be_fetched_into_it(store: Path) -> None:
    refused = refusal(store, STRICT, url=f"file://{store}/digits-1.0.mar")

    assert refused == (500, "InternalServerException", "Model file already exists digits-1.0.mar")


@pytest.mark.parametrize("host", ["", "localhost"])
def test_a_file_url_reaches_the_model_store_and_nothing_else(store: Path, host: str) -> None:
    outside = packed(store.parent / "store-2", "1.0")

    inside = register(store, url=f"file://{host}{store}/digits-1.0.mar")
    for url in (
        f"file://{host}{outside}",
        f"file://{host}/etc/passwd",
        f"file://{host}{store}/sub%2Fdigits-1.0.mar",
        f"file://elsewhere{store}/digits-1.0.mar",
        f"file://{host}{store}%2f%2e%2e/digits-1.0.mar",
        f"ftp://{host}{store}/digits-1.0.mar",
    ):
        assert refusal(store, ANYWHERE, url=url) == (
            404,
            "ModelNotFoundException",
            f"Given URL {url} does not match any allowed URL(s)",
        )

    assert inside.version.file == "digits-1.0.mar"
    assert refusal(store, url=f"file://{store}/none.mar")[2] == f"Model not found at: file://{store}/none.mar"


def test_an_archive_is_fetched_registered_and_gone_when_it_is_discarded(store: Path, site: tuple[str, Path]) -> None:
    url = f"{site[0]}/digits-2.0.mar"

    local, remote = register(store), register(store, ANYWHERE, url=url)
    twice = refusal(store, ANYWHERE, url=url)

    assert (remote.number, remote.version.file, remote.version.url) == ("2.0", "digits-2.0.mar", url)
    assert (store / "digits-2.0.mar").read_bytes() == (site[1] / "digits-2.0.mar").read_bytes()
    assert twice == (409, "ConflictStatusException", "Model file already exists digits-2.0.mar")
    discard(remote.version, store)
    discard(local.version, store)
    assert [path.name for path in store.iterdir()] == ["digits-1.0.mar"], "what was not fetched stays"


def test_a_fetched_file_that_cannot_be_registered_does_not_stay(store: Path, site: tuple[str, Path]) -> None:
    (site[1] / "text.mar").write_text("this is no zip")

    broken = refusal(store, ANYWHERE, url=f"{site[0]}/text.mar")
    misnamed = refusal(store, ANYWHERE, url=f"{site[0]}/digits-2.0.mar", model_name="a/b")

    assert broken[:2] == (400, "InvalidModelException")
    assert misnamed[:2] == (400, "BadRequestException")
    assert [path.name for path in store.iterdir()] == ["digits-1.0.mar"]


@pytest.mark.parametrize("url", ["http://models.example/x.mar", "HTTPS://models.example/x.mar"])
def test_nothing_is_fetched_from_where_no_setting_allows_it(store: Path, url: str) -> None:
    assert refusal(store, url=url) == (
        404,
        "ModelNotFoundException",
        f"Given URL {url} does not match any allowed URL(s)",
    )


def test_what_is_no_zip_is_named_and_in_strict_words_has_no_name(store: Path) -> None:
    (store / "text.mar").write_text("this is no zip")

    assert refusal(store, url="text.mar")[2].startswith("text.mar is not a whole zip file"), "and not where the store lies"
    assert refusal(store, STRICT, url="text.mar") == (400, "InvalidModelException", "Model name is not defined.")


def test_an_archive_with_a_python_handler_is_refused_while_handlers_are_not_allowed(store: Path) -> None:
    with zipfile.ZipFile(store / "foreign.mar", "w") as file:
        file.writestr("MAR-INF/MANIFEST.json", '{"runtime": "python", "model": {"modelName": "f", "handler": "h.py"}}')
        file.writestr("h.py", "raise SystemExit")

    status, kind, message = refusal(store, url="foreign.mar")

    assert (status, kind) == (400, "InvalidModelException")
    assert "endpoint.allow_handlers" in message
