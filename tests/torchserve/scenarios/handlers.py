"""Python handlers: what they may return, how they fail, and what becomes of the others in their batch."""

from collections.abc import Mapping
from typing import Any

from tests.torchserve.normal import error, success
from tests.torchserve.table import Row, Scenario, ask, deviating, infer, manage, registered, varying

# What handlers/answers.py is asked, in the words of its methods and of its table.
COMMANDS = (
    *("text", "letters", "empty", "bytes", "bytearray", "integer", "float", "nan", "infinity", "true", "none", "dict", "list"),
    *("object", "not a list", "too many", "raise", "refuse", "refuse plainly", "cuda", "memory"),
    *("status", "created", "headers", "stream", "identity", "id", "measure"),
)

ANSWERS = Scenario(
    "answers",
    "plain",
    (
        registered("answers"),
        *(infer("POST", "/predictions/answers", command, note=command) for command in COMMANDS),
    ),
)

FORMS = Scenario(
    "forms of handlers",
    "plain",
    (
        registered("based"),
        infer("POST", "/predictions/based", "two words"),
        infer("POST", "/explanations/based", "two words"),
        manage("GET", "/models/based?customized=true"),
        registered("steps"),
        infer("POST", "/predictions/steps", "x"),
        manage("GET", "/models/steps?customized=true"),
        registered("settled", ""),
        manage("GET", "/models/settled", until='"READY"'),
        registered("mirror", "handler=steps:entry&model_name=other"),
        manage("GET", "/models/other", note="with a handler that is not inside"),
        manage("GET", "/models/other?customized=true", note="without workers"),
        infer("POST", "/predictions/other", "x", note="without workers"),
        infer("POST", "/predictions/other/1.0", "x", note="without workers"),
        infer("GET", "/ping", note="without workers"),
    ),
)

FAULTS = Scenario(
    "faults of workers",
    "plain",
    (
        registered("answers", "initial_workers=1&response_timeout=1"),
        infer("POST", "/predictions/answers", "die", note="die"),
        infer("POST", "/predictions/answers", "text", note="after the death"),
        infer("POST", "/predictions/answers", "hang", note="hang"),
        infer("POST", "/predictions/answers", "text", note="after the hang"),
        infer("POST", "/predictions/answers", "long", note="more than max_response_size"),
        infer("POST", "/predictions/answers", "text", note="after the long answer"),
        infer("GET", "/ping", note="after all that"),
        manage("GET", "/models/answers", until='"READY"'),
    ),
)

TEXT, INTEGER = success("text", None), success("3", None)


def _batch(*asked: str, note: str) -> Row:
    return Row(tuple(ask("POST", "/predictions/answers", each) for each in asked), note)


BATCH = Scenario(
    "batch",
    "plain",
    (
        registered("answers", "initial_workers=1&batch_size=4&max_batch_delay=2000"),
        _batch("integer", "text", "id", "empty", note="all good"),
        deviating("batch", _batch("text", "raise", "integer", "text", note="one raises"), TEXT, {}, INTEGER, TEXT),
        deviating("batch", _batch("text", "refuse", "integer", "text", note="one is refused"), TEXT, {}, INTEGER, TEXT),
        deviating("batch", _batch("text", "object", "integer", "text", note="one is no JSON"), TEXT, {}, INTEGER, TEXT),
        _batch("text", "status", "headers", "text", note="each its own status and headers"),
        _batch("too many", "too many", "too many", "too many", note="too many"),
        manage("GET", "/models/answers"),
    ),
)

FULL = error(
    503,
    "ServiceUnavailableException",
    'The job queue of model "crowded" version 1.0 is full: 1 requests wait.',
    retry_after="1",  # a second at least, and the worker needs half of one for each
)


def _crowd(path: str) -> Row:
    return Row(tuple(ask("POST", path, "rest") for _ in range(6)), "six at a queue of one", "kinds")


CROWD = Scenario(
    "crowd",
    "plain",
    (
        registered("crowded"),
        infer("POST", "/predictions/crowded", "text"),
        deviating("queue-full", _crowd("/predictions/crowded"), {}, FULL),
        deviating("queue-full", _crowd("/predictions/crowded/1.0"), {}, FULL),
    ),
)


def _failed(model: str, version: str = "1.0") -> Mapping[str, Any]:
    words = f"Failed to start workers for model {model} version: {version}"
    return {"words": {words: words + ". <any>"}}


def _gone(model: str) -> Mapping[str, Any]:
    return error(404, "ModelNotFoundException", f"Model not found: {model}")


ONE = "initial_workers=1"
SAD = "Failed to start workers for model sad version: 1.0<any>"

LOADING = Scenario(
    "loading",
    "plain",
    (
        deviating("reason", registered("sad"), _failed("sad")),
        varying(deviating("zombie", manage("GET", "/models", note="after the failure"), {"body": '{\n  "models": []\n}\n'})),
        varying(deviating("zombie", registered("sad", f"{ONE}&again=yes"), error(500, "InternalServerException", SAD))),
        varying(deviating("zombie", manage("DELETE", "/models/sad"), _gone("sad"))),
        registered("sad", ""),
        deviating("reason", manage("PUT", "/models/sad?min_worker=1&synchronous=true"), _failed("sad", "null")),
        varying(
            deviating(
                "scaling",
                manage("PUT", "/models/sad/1.0?min_worker=1&synchronous=true"),
                error(500, "InternalServerException", SAD),
            )
        ),
        manage("DELETE", "/models/sad", note="which never had a worker"),
        deviating("reason", registered("starved"), _failed("starved")),
        varying(deviating("zombie", manage("DELETE", "/models/starved"), _gone("starved"))),
        deviating("reason", registered("mirror", f"{ONE}&handler=nowhere.py&model_name=lost"), _failed("lost")),
    ),
)

SCENARIOS = (ANSWERS, FORMS, FAULTS, BATCH, CROWD, LOADING)
