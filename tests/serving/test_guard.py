import json
import os
import signal
from pathlib import Path

from demlopment.serving import credentials
from tests.serving.endpoint import Running, digit, eventually, free_ports, registered, running


def keys(endpoint: Running) -> dict[str, str]:
    document = json.loads((endpoint.home.endpoint / "key_file.json").read_text())
    return {kind: said["key"] for kind, said in document.items()}


def predicted(endpoint: Running, token: str = "") -> int:
    """The status of one prediction on a connection of its own, so that either process may be asked."""
    headers = {"connection": "close"} | ({"authorization": f"Bearer {token}"} if token else {})
    return endpoint.inference.post("/predictions/digits", content=digit(1), headers=headers).status_code


def test_every_process_lets_in_who_has_the_key_that_is_valid_now(tmp_path: Path) -> None:
    registered(tmp_path, "1.0")
    with running(tmp_path, free_ports(token_authorization=True)) as endpoint:
        first = keys(endpoint)
        before = {predicted(endpoint, first["inference"]) for _ in range(20)}
        without = [predicted(endpoint), predicted(endpoint, first["management"])]
        unmanaged = endpoint.management.get("/models").status_code
        health = [endpoint.inference.get(path).status_code for path in ("/ping", "/ready")]
        described = endpoint.management.get("/models", headers=credentials(endpoint.home, "management"))

        turned = endpoint.management.get("/token?type=inference", headers={"authorization": f"Bearer {first['API']}"})
        second = keys(endpoint)
        old = {predicted(endpoint, first["inference"]) for _ in range(20)}
        new = {predicted(endpoint, second["inference"]) for _ in range(20)}
    assert credentials(endpoint.home, "inference") == {}, "they end with the endpoint"
    assert (before, without, unmanaged, health) == ({200}, [400, 400], 400, [200, 200])
    assert described.status_code == 200
    assert (turned.status_code, second["management"]) == (200, first["management"])
    assert (old, new) == ({400}, {200})
    assert not (tmp_path / "endpoint/key_file.json").exists()


def test_the_successor_of_a_killed_process_asks_for_tokens_too(tmp_path: Path) -> None:
    registered(tmp_path, "1.0")
    settings = free_ports(token_authorization=True, processes=1)
    with running(tmp_path, settings) as endpoint:
        manage = {"authorization": f"Bearer {keys(endpoint)['management']}"}

        def pid() -> int:
            (described,) = endpoint.management.get("/models/digits", headers=manage).json()
            return int(described["workers"][0]["pid"]) if described["workers"] else 0

        victim = pid()
        os.kill(victim, signal.SIGKILL)
        healed = eventually(lambda: pid() not in (0, victim))
        statuses = predicted(endpoint), predicted(endpoint, keys(endpoint)["inference"])
    assert healed
    assert statuses == (400, 200)
