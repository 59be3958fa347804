import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from tests.serving.endpoint import Load, Running, digit, eventually, free_ports, packed, registered, running
from tests.serving.site import given_out

NUMBERS = count()
KEYS = """
    modelName modelVersion modelUrl runtime minWorkers maxWorkers batchSize maxBatchDelay responseTimeout startupTimeout
    maxRetryTimeoutInSec clientTimeoutInMills parallelType parallelLevel deviceType continuousBatching useJobTicket useVenv
    stateful sequenceMaxIdleMSec sequenceTimeoutMSec maxNumSequence maxSequenceJobQueueSize loadedAtStartup workers
    jobQueueStatus
"""


@pytest.fixture
def model(endpoint: Running) -> Iterator[str]:
    """The name of a model of this test's own, with 1.0 and 2.0 in the store; unregistered afterwards."""
    name = f"own{next(NUMBERS)}"
    packed(endpoint.home.models, "1.0", name)
    packed(endpoint.home.models, "2.0", name)
    yield name
    for version in ("1.0", "2.0", "1.0"):
        endpoint.management.delete(f"/models/{name}/{version}")


def state_of(endpoint: Running) -> bytes:
    return (endpoint.home.endpoint / "state.json").read_bytes()


def status_of(endpoint: Running, method: str, path: str, **options: object) -> tuple[int, str]:
    answer = endpoint.management.request(method, path, **options)  # type: ignore[arg-type]  # options are passed through
    document = answer.json()
    return answer.status_code, document.get("status") or document["message"]


def test_a_model_lives_from_registration_to_removal_in_torchserves_words(endpoint: Running, model: str) -> None:
    said = [
        status_of(endpoint, "POST", f"/models?url={model}-1.0.mar"),
        status_of(endpoint, "POST", f"/models?url={model}-1.0.mar"),
        status_of(endpoint, "PUT", f"/models/{model}?min_worker=1&synchronous=true"),
        status_of(endpoint, "POST", "/models", json={"url": f"{model}-2.0.mar", "initial_workers": 1}),
        status_of(endpoint, "PUT", f"/models/{model}/2.0?min_worker=2&max_worker=3&synchronous=true"),
        status_of(endpoint, "PUT", f"/models/{model}/9.9/set-default"),
        status_of(endpoint, "PUT", f"/models/{model}/2.0/set-default"),
        status_of(endpoint, "DELETE", f"/models/{model}"),
        status_of(endpoint, "DELETE", f"/models/{model}/9.9"),
        status_of(endpoint, "DELETE", f"/models/{model}/1.0"),
        status_of(endpoint, "DELETE", f"/models/{model}"),
        status_of(endpoint, "DELETE", f"/models/{model}"),
    ]

    assert said == [
        (
            200,
            (
                f'Model "{model}" Version: 1.0 registered with 0 initial workers. '
                "Use scale workers API to add workers for the model."
            ),
        ),
        (409, f"Model version 1.0 is already registered for model {model}"),
        (200, f"Workers scaled to 1 for model: {model}"),
        (200, f'Model "{model}" Version: 2.0 registered with 1 initial workers'),
        (200, f"Workers scaled to 2 for model: {model}, version: 2.0"),
        (404, f"Model version 9.9 does not exist for model {model}"),
        (200, f'Default version successfully updated for model "{model}" to "2.0"'),
        (403, f"Cannot remove default version for model {model}"),
        (404, f"Model version: 9.9 does not exist for model: {model}"),
        (200, f'Model "{model}" unregistered'),
        (200, f'Model "{model}" unregistered'),
        (404, f"Model not found: {model}"),
    ]


def test_a_change_is_answered_by_every_process_once_it_is_acknowledged(endpoint: Running, model: str) -> None:
    endpoint.management.post("/models", params={"url": f"{model}-1.0.mar", "initial_workers": 1})
    endpoint.management.post("/models", params={"url": f"{model}-2.0.mar", "initial_workers": 1})

    for version in ("2.0", "1.0") * 3:
        endpoint.management.put(f"/models/{model}/{version}/set-default")
        # A new connection may reach either process.
        answers = {
            endpoint.inference.post(f"/predictions/{model}", content=digit(1), headers={"connection": "close"}).headers[
                "x-model-version"
            ]
            for _ in range(12)
        }
        assert answers == {version}


def test_describe_shows_torchserves_keys_in_its_order(endpoint: Running, model: str) -> None:
    asked = {"url": f"sub/{model}-1.0.mar", "initial_workers": "1", "batch_size": 4, "response_timeout": "x"}
    endpoint.management.post("/models", json=asked)
    endpoint.management.post("/models", json={"url": f"{model}-2.0.mar"})

    one = endpoint.management.get(f"/models/{model}")
    both = endpoint.management.get(f"/models/{model}/all").json()

    (described,) = one.json()
    assert list(described) == KEYS.split()
    assert one.text == json.dumps(one.json(), indent=2) + "\n"
    assert described["modelUrl"] == f"sub/{model}-1.0.mar"
    assert (described["minWorkers"], described["maxWorkers"], described["batchSize"]) == (1, 1, 4)
    assert (described["maxBatchDelay"], described["responseTimeout"]) == (100, 120)
    assert described["loadedAtStartup"] is False
    assert [worker["status"] for worker in described["workers"]] == ["READY", "READY"]
    assert [worker["id"] for worker in described["workers"]] == ["9000", "9001"]
    assert all(worker["memoryUsage"] > 10_000_000 for worker in described["workers"])
    assert [each["modelVersion"] for each in both] == ["1.0", "2.0"]
    assert both[1]["workers"] == []
    assert endpoint.management.get("/models/digits").json()[0]["loadedAtStartup"] is True


def test_list_pages_by_name_and_has_no_token_on_a_last_page_that_is_full(endpoint: Running, model: str) -> None:
    endpoint.management.post("/models", params={"url": f"{model}-1.0.mar"})
    wanted = [
        {"modelName": "digits", "modelUrl": "digits-1.0.mar"},
        {"modelName": model, "modelUrl": f"{model}-1.0.mar"},
    ]
    queries = [
        "",
        "?limit=1",
        "?limit=1&next_page_token=1",
        "?limit=2",
        "?limit=-1",
        "?next_page_token=-3",
        "?next_page_token=9",
    ]

    pages = [endpoint.management.get(f"/models{query}").json() for query in queries]

    assert pages == [
        {"models": wanted},
        {"nextPageToken": "1", "models": wanted[:1]},
        {"models": wanted[1:]},
        {"models": wanted},
        {"models": wanted},
        {"models": wanted},
        {"models": []},
    ]


@dataclass(frozen=True)
class Refusal:
    """A registration that must change nothing."""

    url: str | None
    status: int
    kind: str
    message: str
    more: str = ""


REFUSALS = [
    Refusal(None, 400, "BadRequestException", "Parameter url is required."),
    Refusal("", 404, "ModelNotFoundException", "empty url"),
    Refusal("nope.mar", 404, "ModelNotFoundException", "Model not found at: nope.mar"),
    Refusal("%00.mar", 404, "ModelNotFoundException", "Model not found at: \0.mar"),
    Refusal(".", 404, "ModelNotFoundException", "Model not found at: ."),
    Refusal("folder", 400, "InvalidModelException", "Model name is not defined."),
    Refusal("linked", 404, "ModelNotFoundException", "Model not found at: linked"),
    Refusal("link.mar", 404, "ModelNotFoundException", "Model not found at: link.mar"),
    Refusal("../x.mar", 404, "ModelNotFoundException", "Relative path is not allowed in url: ../x.mar"),
    Refusal(
        "http://127.0.0.1:1/x.mar",
        404,
        "ModelNotFoundException",
        "Given URL http://127.0.0.1:1/x.mar does not match any allowed URL(s)",
    ),
    Refusal("good-1.0.mar", 400, "BadRequestException", "Invalid RuntimeType value: python4", "&runtime=python4"),
    Refusal("good-1.0.mar", 400, "BadRequestException", "cannot be the name", "&model_name=a%2Fb"),
    Refusal("good-1.0.mar", 400, "BadRequestException", "initial_workers", "&initial_workers=-1"),
    Refusal("good-1.0.mar", 400, "BadRequestException", "initial_workers", "&initial_workers=100000"),
    Refusal("text.mar", 400, "InvalidModelException", "is not a whole zip file"),
    Refusal("short.mar", 400, "InvalidModelException", "is not a whole zip file"),
    Refusal("altered.mar", 400, "InvalidModelException", "card.json does not match its checksum"),
    Refusal("garbage-1.0.mar", 400, "InvalidModelException", "network cannot be loaded", "&initial_workers=1"),
    Refusal("garbage-1.0.mar", 400, "InvalidModelException", "network cannot be loaded", "&initial_workers=1&synchronous=true"),
]


def spoil(store: Path) -> None:
    """Fill a model store with what must not be registered."""
    good = packed(store, "1.0", "good")
    (store / "text.mar").write_text("this is no zip")
    (store / "short.mar").write_bytes(good.read_bytes()[:-200])
    with zipfile.ZipFile(good) as whole, zipfile.ZipFile(store / "altered.mar", "w") as altered:
        for name in whole.namelist():
            altered.writestr(name, whole.read(name).replace(b'"temperature": 0.5', b'"temperature": 0.6'))
    packed(store, "1.0", "garbage", b"this is no network")
    outside = packed(store.parent / "outside", "1.0", "stranger")
    (store / "folder").mkdir(exist_ok=True)
    for link, target in (("link.mar", outside), ("linked", outside.parent)):
        (store / link).unlink(missing_ok=True)
        (store / link).symlink_to(target)


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: f"{refusal.url}{refusal.more}")
def test_a_registration_that_cannot_be_served_changes_nothing(endpoint: Running, refusal: Refusal) -> None:
    spoil(endpoint.home.models)
    before = state_of(endpoint)
    query = ("" if refusal.url is None else f"url={refusal.url}") + refusal.more

    answer = endpoint.management.post(f"/models?{query}")

    assert answer.status_code == refusal.status
    assert answer.json()["type"] == refusal.kind
    assert refusal.message in answer.json()["message"]
    assert str(endpoint.home.models) not in answer.json()["message"]
    assert state_of(endpoint) == before
    assert endpoint.management.get("/models").json() == {"models": [{"modelName": "digits", "modelUrl": "digits-1.0.mar"}]}
    assert endpoint.inference.post("/predictions/digits", content=digit(1)).status_code == 200


def test_a_network_that_cannot_be_started_says_so_and_leaves_no_zombie(endpoint: Running) -> None:
    packed(endpoint.home.models, "1.0", "garbage", b"this is no network")

    registered_idle = status_of(endpoint, "POST", "/models?url=garbage-1.0.mar")
    scaled = endpoint.management.put("/models/garbage?min_worker=1&synchronous=true")
    (described,) = endpoint.management.get("/models/garbage").json()
    removed = status_of(endpoint, "DELETE", "/models/garbage")

    assert registered_idle[0] == 200
    said = scaled.json()
    assert (said["code"], said["type"]) == (500, "InternalServerException")
    assert said["message"].startswith("Failed to start workers for model garbage version: null. ")
    assert "its network cannot be loaded" in said["message"]
    assert (described["minWorkers"], described["workers"]) == (0, [])
    assert removed == (200, 'Model "garbage" unregistered')


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("POST", "/", 405, "Requested method is not allowed, please refer to API document."),
        ("PUT", "/models", 405, "Requested method is not allowed, please refer to API document."),
        ("PATCH", "/models/digits", 405, "Requested method is not allowed, please refer to API document."),
        ("GET", "/nowhere", 404, "Requested resource is not found, please refer to API document."),
        ("GET", "/models/none", 404, "Model not found: none"),
        ("PUT", "/models/none?min_worker=1", 404, "Model not found: none"),
        ("GET", "/models/digits/9.9", 404, "Model version: 9.9 does not exist for model: digits"),
        ("PUT", "/models/digits?min_worker=2&max_worker=1", 400, "max_worker cannot be less than min_worker."),
        ("PUT", "/models/digits?min_worker=-1", 400, "min_worker is -1. Ask for 0 to 256."),
        ("PUT", "/models/digits?min_worker=257&max_worker=257", 400, "min_worker is 257. Ask for 0 to 256."),
        ("PUT", "/models/digits?min_worker=1&max_worker=257", 400, "max_worker is 257. Ask for 1 to 256."),
        ("PUT", "/models/none/traffic", 404, "Model not found: none"),
        ("GET", "/models/digits/traffic", 404, "Model digits has no traffic plan."),
        ("DELETE", "/models/digits/traffic", 404, "Model digits has no traffic plan."),
        ("POST", "/models/digits/traffic", 405, "Requested method is not allowed, please refer to API document."),
    ],
)
def test_a_call_that_cannot_be_carried_out_says_why(
    endpoint: Running, method: str, path: str, status: int, message: str
) -> None:
    assert status_of(endpoint, method, path) == (status, message)


def test_a_plan_may_only_name_versions_that_are_served_and_keeps_them(endpoint: Running, model: str) -> None:
    endpoint.management.post("/models", params={"url": f"{model}-1.0.mar", "initial_workers": 1})
    endpoint.management.post("/models", params={"url": f"{model}-2.0.mar"})
    plan = {"control": "1.0", "treatments": [{"version": "2.0", "share": 0.5}]}

    unknown = status_of(endpoint, "PUT", f"/models/{model}/traffic", json=plan | {"control": "9.9"})
    idle = status_of(endpoint, "PUT", f"/models/{model}/traffic", json=plan)
    endpoint.management.put(f"/models/{model}/2.0?min_worker=1&synchronous=true")
    planned = endpoint.management.put(f"/models/{model}/traffic", json=plan).json()
    assert datetime.now(UTC) - datetime.fromisoformat(planned.pop("since")) < timedelta(minutes=5)
    in_use = status_of(endpoint, "DELETE", f"/models/{model}/2.0")
    endpoint.management.delete(f"/models/{model}/traffic")

    assert unknown == (404, f"Model version: 9.9 does not exist for model: {model}")
    assert idle[0] == 409
    assert planned == {
        "model": model,
        "number": 1,
        **plan,
        "salt": f"{model}:1.0:2.0",
        "unit": "header:x-unit-id",
        "starts": None,
        "ends": None,
        "a_a": False,
        "shadows": [],
        "bandit": False,
        "canary": None,
    }
    assert in_use[0] == 409
    assert "traffic" in in_use[1]


def test_processes_come_and_go_under_load_without_a_failed_request(endpoint: Running) -> None:
    with Load(endpoint, clients=4) as load:
        endpoint.management.put("/models/digits?min_worker=4&synchronous=true")
        many = endpoint.pids("digits", "1.0")
        load.wait_for(200)
        endpoint.management.put("/models/digits?min_worker=1&synchronous=true")
        few = endpoint.pids("digits", "1.0")
        load.wait_for(200)

    assert (len(many), len(few)) == (4, 2)
    assert set(few) <= set(many)
    assert load.failures == []


def test_a_change_that_is_not_waited_for_happens(endpoint: Running, model: str) -> None:
    endpoint.management.post("/models", params={"url": f"{model}-1.0.mar"})

    said = status_of(endpoint, "PUT", f"/models/{model}?min_worker=1")

    assert said == (202, "Processing worker updates...")
    assert eventually(lambda: endpoint.inference.post(f"/predictions/{model}", content=digit(1)).status_code == 200)


def test_what_was_registered_is_served_by_the_next_run_and_a_missing_archive_is_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    registered(tmp_path, "1.0", "2.0")
    with running(tmp_path) as first:
        packed(first.home.models, "1.0", "later")
        first.management.post("/models", params={"url": "later-1.0.mar", "initial_workers": 1})
        first.management.put("/models/digits/2.0/set-default")
        same = {"control": "2.0", "treatments": [{"version": "2.0", "share": 0.5}], "a_a": True}
        first.management.put("/models/digits/traffic", json=same)
    before = state_of(first)
    (tmp_path / "models/digits-1.0.mar").unlink()
    (tmp_path / "models/later-1.0.mar").write_bytes(b"spoilt")

    with running(tmp_path, free_ports(enable_model_api=False)) as second:
        default = second.inference.post("/predictions/digits", content=digit(1))
        missing = second.inference.post("/predictions/digits/1.0", content=digit(1))
        spoilt = second.inference.post("/predictions/later", content=digit(1))
        plan = second.management.get("/models/digits/traffic").json()
        closed = [
            second.management.post("/models?url=digits-2.0.mar").status_code,
            second.management.delete("/models/digits/1.0").status_code,
        ]
        scaled = second.management.put("/models/digits/2.0?min_worker=1&synchronous=true").status_code

    warnings = capfd.readouterr().err
    assert (default.status_code, default.headers["x-model-version"]) == (200, "2.0")
    assert (missing.status_code, spoilt.status_code) == (503, 503)
    assert plan["control"] == "2.0"
    assert closed == [405, 405]
    assert scaled == 200, "a broken archive does not stand in the way of other models"
    assert json.loads(before)["models"] == json.loads(state_of(second))["models"]
    assert warnings.count("digits 1.0 is registered and cannot be served") == 1
    assert warnings.count("later 1.0 is registered and cannot be served") == 1
    assert second.process.returncode == 0


def test_a_model_says_of_itself_what_its_card_says(endpoint: Running) -> None:
    (described,) = endpoint.management.get("/models/digits?customized=true").json()

    assert list(described)[-1] == "customizedMetadata"
    assert described["customizedMetadata"] == {"classes": list("0123456789"), "scores": {}, "lineage": {}}


def test_a_version_without_workers_cannot_be_asked_about_itself(endpoint: Running) -> None:
    packed(endpoint.home.models, "1.0", "idle")
    endpoint.management.post("/models?url=idle-1.0.mar")

    answer = endpoint.management.get("/models/idle?customized=true")
    ready = endpoint.management.get("/v1/models/idle").json()
    endpoint.management.delete("/models/idle")

    assert answer.status_code == 503
    assert answer.json()["message"] == (
        'Model "idle" has no worker to serve describe request. Please use scale workers API to add workers.'
    )
    assert ready == {"name": "idle", "ready": False}


def test_kserve_asks_whether_a_model_is_ready(endpoint: Running) -> None:
    assert endpoint.management.get("/v1/models/digits").json() == {"name": "digits", "ready": True}
    assert status_of(endpoint, "GET", "/v1/models/none") == (404, "Model not found: none")
    assert status_of(endpoint, "POST", "/v1/models/digits")[0] == 405


def test_strict_keeps_the_zombie_of_a_failed_registration_and_offers_an_empty_last_page(tmp_path: Path) -> None:
    home = registered(tmp_path, "1.0")
    packed(home.models, "1.0", "garbage", b"this is no network")
    with running(tmp_path, free_ports(strict=True, token_authorization=False)) as strict:
        failed = status_of(strict, "POST", "/models?url=garbage-1.0.mar&initial_workers=1")
        again = status_of(strict, "POST", "/models?url=garbage-1.0.mar&initial_workers=1")
        page = strict.management.get("/models?limit=2").json()

    assert failed == (500, "Failed to start workers for model garbage version: 1.0")
    assert again == (409, "Model version 1.0 is already registered for model garbage")
    assert page["nextPageToken"] == "2"


def test_a_file_that_was_fetched_stays_for_as_long_as_a_version_is_of_it(tmp_path: Path) -> None:
    """And goes where the registration fails because that version is registered already, of another file."""
    home, folder = registered(tmp_path, "1.0"), tmp_path / "site"
    packed(folder, "1.0").rename(folder / "copy.mar")
    packed(folder, "2.0")
    with given_out(folder) as url:
        settings = free_ports(token_authorization=False, allowed_urls=f"{url}/.*", allow_private_urls=True)
        with running(tmp_path, settings) as endpoint:
            twice = [status_of(endpoint, "POST", f"/models?url={url}/copy.mar") for _ in range(2)]
            left = (home.models / "copy.mar").exists()
            fetched = status_of(endpoint, "POST", f"/models?url={url}/digits-2.0.mar")
            other = status_of(endpoint, "POST", "/models?url=digits-2.0.mar&model_name=other")
            gone = status_of(endpoint, "DELETE", "/models/digits/2.0")
            kept = (home.models / "digits-2.0.mar").exists()

    assert twice == [(409, "Model version 1.0 is already registered for model digits")] * 2
    assert not left
    assert [fetched[0], other[0], gone[0]] == [200] * 3
    assert kept
