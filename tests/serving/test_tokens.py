"""Tokens: the keys that TorchServe's clients read from a file, and static ones; neither is ever shown or guessed by time."""

import hmac
import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment import home
from demlopment.errors import RequestError, SettingsError
from demlopment.home import Home
from demlopment.serving import tokens
from demlopment.serving.tokens import KeyFile, Permit, Permits, Scope, static
from demlopment.settings import Endpoint

NOW = 1_800_000_000.0
ON = Endpoint(token_authorization=True)
WORDS = "Token Authorization failed. Token either incorrect, expired, or not provided correctly"


def bearer(token: str) -> dict[bytes, bytes]:
    return {b"authorization": f"Bearer {token}".encode()}


def opens(permits: Permits, scope: Scope, token: str, now: float = NOW, *, method: str = "GET", path: str = "/models") -> bool:
    try:
        permits.refuse(scope, method, path, bearer(token), now)
    except RequestError:
        return False
    return True


@pytest.fixture
def file(tmp_path: Path) -> Iterator[KeyFile]:
    """A key file that has been created."""
    (tmp_path / "endpoint").mkdir()
    created = KeyFile(Home(tmp_path), ON)
    created.create(NOW)
    yield created
    created.remove()


def keys(file: KeyFile) -> dict[str, str]:
    return {kind: said["key"] for kind, said in json.loads(file.path.read_text()).items()}


def test_the_file_has_torchserves_shape_and_is_the_owners_alone(file: KeyFile) -> None:
    document = json.loads(file.path.read_text())

    assert file.path.name == "key_file.json"
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert {kind: set(said) for kind, said in document.items()} == {
        "management": {"key", "expiration time"},
        "inference": {"key", "expiration time"},
        "API": {"key"},
    }
    assert datetime.fromisoformat(document["inference"]["expiration time"]).timestamp() == NOW + 3600
    assert len(set(keys(file).values())) == 3
    assert min(len(key) for key in keys(file).values()) >= 40


def test_each_key_opens_its_own_port_and_no_other(file: KeyFile) -> None:
    permits = file.permits()
    scopes: tuple[Scope, ...] = ("management", "inference", "API")

    opened = {(kind, scope) for kind, key in keys(file).items() for scope in scopes if opens(permits, scope, key)}

    assert opened == {("management", "management"), ("inference", "inference"), ("API", "API")}


def test_a_key_is_refused_from_the_moment_it_expires(file: KeyFile) -> None:
    key = keys(file)["inference"]

    assert opens(file.permits(), "inference", key, NOW + 3599.9)
    assert not opens(file.permits(), "inference", key, NOW + 3600)


def test_a_rotated_key_works_and_the_old_one_does_not(file: KeyFile) -> None:
    before = keys(file)

    file.rotate("inference", bearer(before["API"]), NOW + 5000)
    after = keys(file)

    assert after == before | {"inference": after["inference"]}
    assert opens(file.permits(), "inference", after["inference"], NOW + 5000 + 3599)
    assert not opens(file.permits(), "inference", before["inference"])
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert list(file.path.parent.iterdir()) == [file.path]


@pytest.mark.parametrize(("kind", "key"), [("inference", "management"), ("API", "API"), (None, "API"), ("*", "API")])
def test_only_the_api_key_rotates_and_only_the_two_kinds(file: KeyFile, kind: str | None, key: str) -> None:
    before = file.path.read_bytes()

    with pytest.raises(RequestError, match=r"Token Authentication failed\. Token either incorrect, expired") as refused:
        file.rotate(kind, bearer(keys(file)[key]), NOW)

    assert (refused.value.status, refused.value.kind) == (400, "InvalidKeyException")
    assert file.path.read_bytes() == before


def test_a_file_that_a_killed_endpoint_left_is_replaced_and_its_keys_are_dead(tmp_path: Path) -> None:
    (tmp_path / "endpoint").mkdir()
    script = (
        "import os, signal, sys; from pathlib import Path; from demlopment.home import Home;"
        "from demlopment.serving.tokens import KeyFile; from demlopment.settings import Endpoint;"
        "KeyFile(Home(Path(sys.argv[1])), Endpoint(token_authorization=True)).create(1_800_000_000.0);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], timeout=60)
    file = KeyFile(Home(tmp_path), ON)
    left = keys(file)
    file.path.chmod(0o644)  # what else may have happened to it must not survive either

    file.create(NOW)

    assert killed.returncode == -9
    assert not set(left.values()) & set(keys(file).values())
    assert not opens(file.permits(), "inference", left["inference"])
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_the_file_goes_with_the_endpoint_and_without_authorization_there_is_none(file: KeyFile) -> None:
    open_to_all = KeyFile(Home(file.path.parents[1]), Endpoint())

    open_to_all.create(NOW)

    assert not file.path.exists()
    assert opens(open_to_all.permits(), "management", "")
    file.remove()


def test_a_half_written_file_of_a_killed_namesake_is_never_followed(file: KeyFile, tmp_path: Path) -> None:
    partial = file.path.with_name(f"{file.path.name}{home.ending()}")
    elsewhere = tmp_path / "elsewhere"
    partial.symlink_to(elsewhere)

    file.create(NOW)

    assert not elsewhere.exists()
    assert not file.path.is_symlink()


def test_every_permit_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    def compare(one: str, other: str) -> bool:
        compared.append(one)
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare)
    permits = Permits(required=True, permits=tuple(Permit.of("inference", f"token{at}") for at in range(5)))

    opened = opens(permits, "inference", "token0"), opens(permits, "inference", "token9")

    assert opened == (True, False)
    assert len(compared) == 10, "the first match must not end the comparison"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {b"authorization": b""},
        {b"authorization": b"token0"},
        {b"authorization": b"Basic token0"},
        {b"authorization": b"Bearer"},
        {b"authorization": b"Bearer "},
        {b"authorization": b"Bearer \xff"},
        {b"authorization": b"Bearer token0, Bearer token0"},
    ],
)
def test_what_is_no_bearer_token_is_refused_in_torchserves_words(headers: dict[bytes, bytes]) -> None:
    permits = Permits(required=True, permits=(Permit.of("inference", "token0"),))

    with pytest.raises(RequestError) as refused:
        permits.refuse("inference", "POST", "/predictions/m", headers, NOW)

    assert (refused.value.status, refused.value.kind, str(refused.value)) == (400, "InvalidKeyException", WORDS)


@given(st.text(min_size=1).filter(lambda text: text.strip() != "token0"))
def test_no_other_text_opens_what_one_token_opens(text: str) -> None:
    permits = Permits(required=True, permits=(Permit.of("inference", "token0"),))

    with pytest.raises(RequestError):
        permits.refuse("inference", "GET", "/predictions/m", {b"authorization": b"Bearer " + text.encode()}, NOW)


def test_the_star_opens_every_port_but_changes_no_key() -> None:
    permits = Permits(required=True, permits=(Permit.of("*", "all"), Permit.of("metrics", "m")))

    assert opens(permits, "inference", "all")
    assert opens(permits, "management", "all")
    assert opens(permits, "metrics", "all", path="/metrics")
    assert not opens(permits, "API", "all")


def test_health_the_description_and_metrics_need_no_token_unless_they_are_closed() -> None:
    usual = Permits(required=True, permits=(Permit.of("inference", "t"),))
    closed = Permits(required=True, open_health=False, permits=(Permit.of("metrics", "t"),))

    def passing(permits: Permits, scope: Scope) -> set[str]:
        asked = (
            "GET /ping",
            "GET /ready/",
            "GET /api-description",
            "OPTIONS /",
            "GET /",
            "OPTIONS /predictions/m",
            "GET /metrics",
        )
        return {each for each in asked if opens(permits, scope, "no", method=each.split()[0], path=each.split()[1])}

    described = {"GET /api-description", "OPTIONS /", "GET /"}  # the last is a 405 for everybody
    assert passing(usual, "inference") == {"GET /ping", "GET /ready/"} | described
    assert passing(closed, "inference") == described
    assert "GET /metrics" in passing(usual, "metrics")
    assert passing(closed, "metrics") == described


def test_what_serving_processes_get_holds_no_key_and_says_the_same(file: KeyFile) -> None:
    sent = file.permits().as_json()

    assert Permits.from_json(sent) == file.permits()
    assert not [key for key in keys(file).values() if key in sent]


@pytest.mark.parametrize(
    ("settings", "on"),
    [
        (Endpoint(), False),
        (Endpoint(host="localhost"), False),
        (Endpoint(host="::1"), False),
        (Endpoint(host="0.0.0.0"), True),
        (Endpoint(host="::"), True),
        (Endpoint(host="example.org"), True),
        (Endpoint(strict=True), True),
        (Endpoint.model_validate({"tokens": "inference:t"}), True),
        (Endpoint(host="0.0.0.0", strict=True, token_authorization=False), False),
        (Endpoint(token_authorization=True), True),
    ],
)
def test_tokens_are_demanded_where_others_can_reach_the_ports(settings: Endpoint, *, on: bool) -> None:
    assert tokens.required(settings, static(settings)) == on


def test_static_tokens_come_from_the_setting_and_from_a_file_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text("# who\n\nmanagement:from:file\n  *:everything  \n")
    path.chmod(0o600)

    found = static(Endpoint.model_validate({"tokens": "inference:one, metrics:two", "tokens_file": path}))

    assert found == (
        Permit.of("inference", "one"),
        Permit.of("metrics", "two"),
        Permit.of("management", "from:file"),
        Permit.of("*", "everything"),
    )


@pytest.mark.parametrize(
    "line", ["SECRET", "inference", "inference:", "admin:SECRET", "inference:SECRET x", "inference:SECRETß"]
)
def test_a_line_that_is_no_token_is_refused_without_being_shown(tmp_path: Path, line: str) -> None:
    path = tmp_path / "tokens"
    path.write_text(f"inference:fine\n{line}\n")
    path.chmod(0o600)

    with pytest.raises(SettingsError, match="tokens, line 2: this is not a scope") as in_file:
        static(Endpoint(tokens_file=path))
    with pytest.raises(SettingsError, match=r"endpoint\.tokens: this is not a scope") as in_setting:
        static(Endpoint.model_validate({"tokens": line}))

    assert "SECRET" not in f"{in_file.value} {in_setting.value}"


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o644])
def test_a_file_of_tokens_that_others_can_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "tokens"
    path.write_text("inference:t")
    path.chmod(mode)

    with pytest.raises(SettingsError, match=r"Other users can read or change .* Run chmod o-rwx"):
        static(Endpoint(tokens_file=path))


def test_a_file_of_tokens_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    binary.chmod(0o600)

    with pytest.raises(SettingsError, match="nowhere cannot be read"):
        static(Endpoint(tokens_file=tmp_path / "nowhere"))
    with pytest.raises(SettingsError, match="are not text"):
        static(Endpoint(tokens_file=binary))
