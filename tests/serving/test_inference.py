import base64
import json
import socket
import struct
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote_from_bytes, urlsplit

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demlopment import archive, images
from demlopment.archive import Answering, Archive, Card
from demlopment.serving import join, read
from demlopment.serving.engine import Network
from demlopment.serving.inference import Inference
from demlopment.serving.state import State, Version
from demlopment.serving.tokens import Permit, Permits
from tests.serving.endpoint import (
    CLASSES,
    TEMPERATURE,
    WIDE,
    Running,
    digit,
    expected,
    free_ports,
    in_a_form,
    onnx_network,
    packed,
    registered,
    running,
)
from tests.serving.local import app, ask

NOT_FOUND = "Requested resource is not found, please refer to API document."
NOT_ALLOWED = "Requested method is not allowed, please refer to API document."

# method, path, body, status, type, message: TorchServe's words
REFUSALS = [
    ("GET", "/", b"", 405, "MethodNotAllowedException", NOT_ALLOWED),
    ("GET", "/nowhere", b"", 404, "ResourceNotFoundException", NOT_FOUND),
    ("OPTIONS", "/nowhere", b"", 404, "ResourceNotFoundException", NOT_FOUND),
    ("POST", "/predict", b"x", 404, "ResourceNotFoundException", NOT_FOUND),
    ("GET", "/models/digits", b"", 404, "ResourceNotFoundException", NOT_FOUND),
    ("POST", "/v1/models/digits:guess", b"x", 404, "ResourceNotFoundException", NOT_FOUND),
    ("POST", "/wfpredict/some", b"x", 404, "WorkflowNotFoundException", "Workflow not found: some"),
    ("POST", "/predictions//digits", b"x", 404, "ModelNotFoundException", "Model not found: "),
    ("POST", "/explanations/none", b"x", 404, "ModelNotFoundException", "Model not found: none"),
    ("POST", "/v1/models/none:predict", b"x", 404, "ModelNotFoundException", "Model not found: none"),
    ("POST", "/invocations?model_name=none", b"x", 404, "ModelNotFoundException", "Model not found: none"),
    ("POST", "/models/none/invoke", b"x", 404, "ModelNotFoundException", "Model not found: none"),
    ("POST", "/none/predict", b"x", 404, "ModelNotFoundException", "Model not found: none"),
    ("OPTIONS", "/predictions/none", b"", 404, "ModelNotFoundException", "Model not found: none"),
    ("GET", "//ping", b"", 404, "ResourceNotFoundException", NOT_FOUND),
    ("POST", "/predictions", b"x", 404, "ResourceNotFoundException", NOT_FOUND),
    ("POST", "/predictions/none", b"x", 404, "ModelNotFoundException", "Model not found: none"),
    (
        "POST",
        "/predictions/digits/9.9",
        b"x",
        404,
        "ModelVersionNotFoundException",
        "Model version: 9.9 does not exist for model: digits",
    ),
    (
        "POST",
        "/predictions/digits",
        b"",
        400,
        "BadRequestException",
        "The image is empty: 0 bytes. Send the bytes of one PNG, JPEG, BMP or WebP picture.",
    ),
    ("GET", "/feedback", b"", 405, "MethodNotAllowedException", NOT_ALLOWED),
    ("POST", "/feedback", b"{", 400, "BadRequestException", None),
    ("POST", "/feedback", b"[]", 400, "BadRequestException", "The body is not a JSON object. Send {...}."),
    ("POST", "/feedback", b'{"label": "3"}', 400, "BadRequestException", None),
    ("POST", "/feedback", b'{"request_id": "a b", "label": "3"}', 400, "BadRequestException", None),
    ("POST", "/feedback", b'{"request_id": "a", "label": "\\ud800"}', 400, "BadRequestException", None),
    ("POST", "/feedback", b'{"request_id": "a", "label": 3}', 400, "BadRequestException", None),
    ("POST", "/feedback", b'{"request_id": "a", "label": "x"}', 400, "BadRequestException", None),
    ("POST", "/feedback", b'{"request_id": "a", "label": "3", "score": 1}', 400, "BadRequestException", None),
]


def test_the_default_version_answers_with_the_plain_label_as_torchserve_does(endpoint: Running) -> None:
    answer = endpoint.inference.post("/predictions/digits", content=digit(3))

    assert answer.status_code == 200
    assert answer.text == CLASSES[expected(digit(3), "1.0").argmax()]
    assert "content-type" not in answer.headers
    assert (answer.headers["x-model-version"], answer.headers["x-arm"]) == ("1.0", "direct")
    assert uuid.UUID(answer.headers["x-request-id"]).version == 4
    assert answer.headers["pragma"] == "no-cache"
    assert answer.headers["cache-control"] == "no-cache; no-store, must-revalidate, private"
    assert answer.headers["expires"] == "Thu, 01 Jan 1970 00:00:00 UTC"
    assert answer.headers["connection"] == "keep-alive"


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_the_probabilities_of_each_version_are_those_of_its_network(endpoint: Running, version: str) -> None:
    pictures = [digit(seed) for seed in range(8)]
    wanted = [expected(picture, version) for picture in pictures]

    answers = [
        endpoint.inference.post(f"/predictions/digits/{version}", content=picture, headers={"accept": "application/json"})
        for picture in pictures
    ]

    assert len({row.argmax() for row in wanted}) > 1, "pictures that all look alike would show nothing"
    for answer, row in zip(answers, wanted, strict=True):
        said = answer.json()
        assert list(said) == ["label", "probabilities", "confidence", "accepted", "model", "version", "request_id"]
        assert said["accepted"] is True
        np.testing.assert_allclose(list(said["probabilities"].values()), row, atol=1e-5)
        assert list(said["probabilities"]) == list(CLASSES)
        assert said["confidence"] == max(said["probabilities"].values())
        assert said["label"] == CLASSES[row.argmax()]
        assert (said["model"], said["version"]) == ("digits", version)
        assert said["request_id"] == answer.headers["x-request-id"]


def test_every_way_to_send_a_picture_gets_the_same_answer(endpoint: Running) -> None:
    picture = digit(5)
    client, path = endpoint.inference, "/predictions/digits"
    encoded = {"content-type": "application/x-www-form-urlencoded"}

    answers = [
        client.post(path, content=picture),
        client.put(path, content=picture),
        client.post(path + "/", content=picture),
        client.post(path + "/1.0/any/rest?query=dropped", content=picture),
        client.post(path, files={"data": ("digit.png", picture)}),
        client.post(path, files={"body": ("digit.png", picture, "image/png")}),
        client.post(path, files={"whatever": picture}),
        client.post(path, content=b"data=" + quote_from_bytes(picture).encode(), headers=encoded),
    ]

    assert [answer.status_code for answer in answers] == [200] * len(answers)
    assert {answer.text for answer in answers} == {CLASSES[expected(picture, "1.0").argmax()]}


@pytest.mark.parametrize(("method", "path", "body", "status", "kind", "message"), REFUSALS)
def test_a_refusal_is_the_error_triple(
    endpoint: Running, method: str, path: str, body: bytes, status: int, kind: str, message: str | None
) -> None:
    # The path travels as it is: a client would tidy "//ping" up.
    target = endpoint.inference.build_request(method, endpoint.addresses.inference + path, content=body)

    answer = endpoint.inference.send(target)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["connection"] == "close"
    triple = answer.json()
    assert triple == {"code": status, "type": kind, "message": message or triple["message"]}
    assert answer.text == json.dumps(triple, indent=2, ensure_ascii=False) + "\n"


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("/v1/models/digits:predict", "1.0"),
        ("/v2/models/digits/infer", "1.0"),
        ("/v2/models/digits/versions/2.0/infer", "2.0"),
        ("/invocations?model_name=digits", "1.0"),
        ("/models/digits/invoke?a=1", "1.0"),
        ("/digits/predict?a=1", "1.0"),
        ("/digits/2.0/predict", "2.0"),
        ("/digits/2.0/predict/", "2.0"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "GET", "DELETE"])
def test_every_path_reads_a_raw_picture_by_any_method(endpoint: Running, method: str, path: str, version: str) -> None:
    answer = endpoint.inference.request(method, path, content=digit(5))

    assert (answer.status_code, answer.text) == (200, CLASSES[expected(digit(5), version).argmax()])
    assert answer.headers["x-model-version"] == version


def test_a_head_request_is_answered_without_a_body(endpoint: Running) -> None:
    found, missing = endpoint.inference.head("/ping"), endpoint.inference.head("/nowhere")

    assert (found.status_code, found.content, int(found.headers["content-length"]) > 0) == (200, b"", True)
    assert (missing.status_code, missing.content) == (404, b"")


def test_an_explanation_is_a_map_and_says_more_when_asked(endpoint: Running) -> None:
    plain = endpoint.inference.post("/explanations/digits/2.0", content=digit(5))
    full = endpoint.inference.post("/explanations/digits/2.0", content=digit(5), headers={"accept": "application/json"})
    refused = endpoint.inference.post("/explanations/digits", content=b"no picture")

    assert np.array(plain.json()).shape == (28, 28)
    assert np.abs(plain.json()).max() > 0
    assert full.json()["saliency"] == plain.json()
    assert full.json()["label"] == CLASSES[expected(digit(5), "2.0").argmax()]
    assert plain.headers["x-model-version"] == "2.0"
    assert refused.status_code == 400


def test_ping_and_ready_answer_any_method(endpoint: Running) -> None:
    answers = [endpoint.inference.request(method, path) for method in ("GET", "POST", "PUT") for path in ("/ping", "/ping/x")]
    ready = endpoint.inference.get("/ready")
    head = endpoint.inference.head("/ping")

    assert [answer.text for answer in answers] == ['{\n  "status": "Healthy"\n}\n'] * 6
    assert ready.json() == {"status": "Ready"}
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("given", ["a", "x" * 128, "!~", "trace/7:b"])
def test_a_valid_request_id_of_the_caller_is_kept(endpoint: Running, given: str) -> None:
    answer = endpoint.inference.post("/predictions/digits", content=digit(1), headers={"x-request-id": given})

    assert answer.headers["x-request-id"] == given


@pytest.mark.parametrize("given", [b"", b"x" * 129, b"a b", "ü".encode()])
def test_an_invalid_request_id_is_replaced(endpoint: Running, given: bytes) -> None:
    answer = endpoint.inference.post("/predictions/digits", content=digit(1), headers=[(b"x-request-id", given)])

    assert answer.status_code == 200
    assert uuid.UUID(answer.headers["x-request-id"]).version == 4


def test_a_bad_picture_fails_alone_among_requests_that_are_answered_together(endpoint: Running) -> None:
    bodies = [digit(seed) if seed % 3 else b"no picture" for seed in range(60)]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda body: endpoint.inference.post("/predictions/digits", content=body), bodies))

    wanted = [200 if seed % 3 else 400 for seed in range(60)]
    assert [answer.status_code for answer in answers] == wanted
    for body, answer in zip(bodies, answers, strict=True):
        if answer.status_code == 200:
            assert answer.text == CLASSES[expected(body, "1.0").argmax()]


def test_a_body_over_the_limit_is_refused_bare(endpoint: Running) -> None:
    answer = endpoint.inference.post("/predictions/digits", content=bytes(6_553_501))

    assert (answer.status_code, answer.content) == (413, b"")
    assert "x-request-id" not in answer.headers
    assert "pragma" not in answer.headers


def test_a_decompression_bomb_is_the_clients_fault(endpoint: Running) -> None:
    header = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", 60_000, 60_000) + bytes(30)

    answer = endpoint.inference.post("/predictions/digits", content=header)

    assert answer.status_code == 400
    assert "60000 x 60000" in answer.json()["message"]


def test_bytes_that_are_not_http_do_not_disturb_the_process(endpoint: Running) -> None:
    port = urlsplit(endpoint.addresses.inference).port
    garbage = [
        b"\x00\xff\x00\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\n\r\n",
        b"POST /predictions/digits HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    ]
    before = endpoint.pids()

    for sent in garbage:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(sent)
            assert connection.recv(4096).startswith(b"HTTP/1.1 400")

    assert endpoint.inference.get("/ping").status_code == 200
    assert endpoint.pids() == before


def test_a_registered_version_without_workers_answers_503_in_torchserves_words(endpoint: Running) -> None:
    packed(endpoint.home.models, "1.0", "idle")
    endpoint.management.post("/models", params={"url": "idle-1.0.mar"})

    plain = endpoint.inference.post("/predictions/idle", content=digit(1))
    explicit = endpoint.inference.post("/predictions/idle/1.0", content=digit(1))
    endpoint.management.delete("/models/idle")

    words = "has no worker to serve inference request. Please use scale workers API to add workers."
    assert plain.status_code == explicit.status_code == 503
    assert plain.json()["type"] == "ServiceUnavailableException"
    assert plain.json()["message"].startswith(f'Model "idle" {words}')
    assert explicit.json()["message"].startswith(f'Model "idle" Version 1.0" {words}')


def test_every_answer_is_journalled_with_what_it_said_and_joined_with_its_label(endpoint: Running) -> None:
    picture = digit(9)
    headers = {"x-request-id": "journalled-1", "x-unit-id": "ada", "accept": "application/json"}

    said = endpoint.inference.post("/predictions/digits", content=picture, headers=headers).json()
    early = endpoint.inference.post("/feedback", json={"request_id": "journalled-1", "label": "3"})
    endpoint.inference.post("/feedback", json={"request_id": "journalled-1", "label": "4"})
    endpoint.inference.post("/feedback", json={"request_id": "unheard-of", "label": "4"})
    predictions, feedback = read(endpoint.home.endpoint / "journal")

    (kept,) = [each for each in predictions if each.request_id == "journalled-1"]
    assert early.text == '{\n  "status": "Feedback recorded"\n}\n'
    assert (kept.model, kept.version, kept.arm, kept.unit, kept.label) == ("digits", "1.0", "direct", "ada", said["label"])
    assert kept.probabilities.tolist() == list(said["probabilities"].values())
    assert kept.embedding.shape == (16,)
    assert 0 < kept.latency_ms < 10_000
    assert join(predictions, feedback).labels["journalled-1"] == "4"
    assert join(predictions, feedback).unknown >= 1


def test_a_client_that_asks_to_close_is_not_told_to_stay(endpoint: Running) -> None:
    answer = endpoint.inference.get("/ping", headers={"connection": "close"})

    assert answer.headers["connection"] == "close"


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """TorchServe to the letter, as far as a network can be."""
    root = tmp_path_factory.mktemp("strict")
    registered(root, "1.0")
    with running(root, free_ports(strict=True, token_authorization=False, cors_allowed_origin="*", processes=1)) as started:
        yield started


@pytest.mark.parametrize("accept", ["*/*", "application/json"])
def test_strict_answers_as_the_handler_inside_the_archive_and_knows_no_arm(strict: Running, accept: str) -> None:
    headers = {"accept": accept, "x-request-id": "mine"}

    answers = [
        strict.inference.post(path, content=digit(3), headers=headers) for path in ("/predictions/digits", "/digits/predict")
    ]
    explained = strict.inference.post("/explanations/digits", content=digit(3), headers=headers)

    for answer in (*answers, explained):
        as_json = accept == "application/json"
        assert (answer.json()["label"] if as_json else answer.text) == CLASSES[expected(digit(3), "1.0").argmax()]
        assert answer.headers.get("content-type") == (accept if as_json else None)
        assert not {"x-arm", "x-model-version"} & set(answer.headers)
        assert answer.reason_phrase == ""
        assert uuid.UUID(answer.headers["x-request-id"]).version == 4


@pytest.mark.parametrize("body", [b"no picture", b""])
def test_strict_says_of_an_unreadable_picture_what_torchserve_says(strict: Running, body: bytes) -> None:
    answer = strict.inference.post("/predictions/digits", content=body)

    assert answer.status_code == 503
    assert answer.json() == {"code": 503, "type": "InternalServerException", "message": "Prediction failed"}


def test_strict_has_no_ready_and_never_says_which_methods_are_allowed(strict: Running, endpoint: Running) -> None:
    ready, root, ours = strict.inference.get("/ready"), strict.inference.get("/"), endpoint.inference.get("/")

    assert ready.json() == {"code": 404, "type": "ResourceNotFoundException", "message": NOT_FOUND}
    assert (root.status_code, ours.status_code) == (405, 405)
    assert root.json() == ours.json()
    assert "allow" not in root.headers
    assert ours.headers["allow"] == "OPTIONS"


def test_cross_origin_headers_stand_on_every_answer_where_they_are_configured(strict: Running, endpoint: Running) -> None:
    paths = ("/ping", "/nowhere", "/predictions/digits")

    answers = [strict.inference.get(path) for path in paths]

    assert [answer.headers["access-control-allow-origin"] for answer in answers] == ["*"] * 3
    assert "access-control-allow-methods" not in answers[0].headers
    assert "access-control-allow-origin" not in endpoint.inference.get("/ping").headers


def test_the_only_model_needs_no_name(strict: Running) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}

    alone = strict.inference.post("/invocations", content=digit(3))
    named = strict.inference.post("/invocations", content=b"model_name=none", headers=form)

    assert alone.text == CLASSES[expected(digit(3), "1.0").argmax()]
    assert named.json()["message"] == "Model not found: none"


def quoting(tmp_path: Path, answer: Answering) -> Inference:
    """An app whose only model asks to be quoted like that."""
    card = Card("digits", "1.0", CLASSES, images.VERSION, TEMPERATURE, {}, {}, answer)
    file = archive.write(tmp_path, Archive(card, onnx_network("1.0"), {}, digit(1))).name
    return app(tmp_path, State().register("digits", "1.0", Version(file, file, 1, 1)))


@pytest.mark.parametrize(
    ("threshold", "accepted"), [(0.0, True), (float(expected(digit(3), "1.0").max()) + 1e-3, False), (1.0, False)]
)
def test_a_card_may_ask_for_the_likeliest_classes_and_a_threshold(tmp_path: Path, threshold: float, *, accepted: bool) -> None:
    inference = quoting(tmp_path, Answering(top_k=3, threshold=threshold))
    wanted = expected(digit(3), "1.0")

    said = json.loads(ask(inference, "POST", "/predictions/digits", digit(3), {"accept": "application/json"}).body)
    plain = ask(inference, "POST", "/predictions/digits", digit(3))
    inference.journal.close()

    assert list(said["probabilities"]) == [CLASSES[each] for each in np.argsort(-wanted)[:3]]
    assert said["confidence"] == max(said["probabilities"].values())
    assert said["accepted"] is accepted
    assert plain.body.decode() == said["label"]


def test_a_card_may_ask_for_probabilities_as_the_network_gives_them(tmp_path: Path) -> None:
    inference = quoting(tmp_path, Answering(calibrated=False))
    calibrated = np.log(expected(digit(3), "1.0")) * TEMPERATURE
    wanted = np.exp(calibrated) / np.exp(calibrated).sum()

    said = json.loads(ask(inference, "POST", "/predictions/digits", digit(3), {"accept": "application/json"}).body)
    inference.journal.close()

    np.testing.assert_allclose(list(said["probabilities"].values()), wanted, atol=1e-5)


def test_a_request_without_a_token_is_refused_before_anything_is_looked_up(tmp_path: Path) -> None:
    inference = app(tmp_path, State())
    inference.permits = Permits(required=True, permits=(Permit.of("inference", "secret"),))

    refused = ask(inference, "POST", "/predictions/none", b"x")
    let_in = ask(inference, "POST", "/predictions/none", b"x", {"authorization": "Bearer secret"})
    inference.journal.close()

    assert (refused.status, json.loads(refused.body)["type"]) == (400, "InvalidKeyException")
    assert (let_in.status, json.loads(let_in.body)["type"]) == (404, "ModelNotFoundException")


@settings(max_examples=300)
@given(
    parts=st.lists(
        st.sampled_from(
            [
                *("predictions", "explanations", "v1", "v2", "models", "versions", "infer", "invoke", "invocations", "predict"),
                *("health", "ready", "live", "ping", "feedback", "digits", "digits:predict", "1.0", "", "%", "é"),
            ]
        ),
        max_size=6,
    ),
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"]),
    kind=st.sampled_from(["", "application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"]),
    body=st.sampled_from([b"", b"{}", b"[", b"a=1&b", b"--b\r\n", b'{"instances": [1]}', b'{"inputs": [{}]}'])
    | st.binary(max_size=40),
)
def test_no_path_and_no_body_is_our_fault(asking: Inference, parts: list[str], method: str, kind: str, body: bytes) -> None:
    said = ask(asking, method, "/" + "/".join(parts), body, {"content-type": kind} if kind else {})

    assert said.status < 500, (said.status, said.body)


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inference]:
    root = tmp_path_factory.mktemp("asking")
    file = packed(root, "1.0").name
    inference = app(root, State().register("digits", "1.0", Version(file, file, 1, 1)))
    yield inference
    inference.journal.close()


FORM = {"content-type": "multipart/form-data; boundary=b"}
JSON = {"content-type": "application/json"}


def in_json(picture: bytes) -> bytes:
    return json.dumps({"instances": [{"b64": base64.b64encode(picture).decode()}]}).encode()


@pytest.mark.parametrize(("picture", "beside"), [(WIDE, True), (digit(1), False)], ids=["many pixels", "few"])
@pytest.mark.parametrize(
    ("path", "packed_in", "headers"),
    [
        ("/predictions/digits", bytes, {}),
        ("/predictions/digits", in_a_form, FORM),
        ("/explanations/digits", bytes, {}),
        ("/v1/models/digits:predict", in_json, JSON),
    ],
)
def test_a_picture_of_many_pixels_is_prepared_beside_the_batches_however_few_its_bytes_are(
    asking: Inference,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    packed_in: Callable[[bytes], bytes],
    headers: dict[str, str],
    picture: bytes,
    *,
    beside: bool,
) -> None:
    where, prepare = list[bool](), images.prepare

    def watched(image: bytes) -> images.Grey:
        where.append(threading.current_thread() is not threading.main_thread())
        return prepare(image)

    monkeypatch.setattr(images, "prepare", watched)
    answer = ask(asking, "POST", path, packed_in(picture), headers)

    assert (answer.status, where) == (200, [beside])


def test_a_network_that_fails_on_an_explanation_says_so_as_it_does_of_a_prediction(
    asking: Inference, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Network, "run", fails)
    answers = [ask(asking, "POST", f"/{what}/digits", digit(1)) for what in ("predictions", "explanations", "explanations")]

    assert len({(each.status, each.body) for each in answers}) == 1
    assert answers[0].status == 503
    assert json.loads(answers[0].body)["message"] == "Prediction failed"
    assert len(caplog.records) == 2  # once for each kind of question
