"""The JSON that the three ports take and give, described. Knows OpenAPI's schemas; knows no path."""

from typing import get_args

from demlopment.records import CanaryState
from demlopment.serving.openapi.pieces import BOOLEAN, COUNT, NUMBER, TEXT, WHOLE, Json, array, record, ref

PIXELS = array(array({"type": "number", "minimum": 0, "maximum": 255}, minItems=1), minItems=1)
PICTURE = {"type": "string", "format": "byte", "description": "Base64 of a PNG, JPEG, BMP or WebP"}
PARAMETERS: Json = {"type": "object", "additionalProperties": True}
TENSOR = {
    "name": TEXT,
    "datatype": {"type": "string", "description": "BOOL, UINT8 to UINT64, INT8 to INT64, FP16, FP32, FP64 or BYTES"},
    "shape": array(COUNT),
    "data": array({}),
    "parameters": PARAMETERS,
}

WORD: Json = {"type": "string", "minLength": 1, "maxLength": 128}
HTTP_NAME = "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}"
TREATMENT = {"version": WORD, "share": {"type": "number", "minimum": 0, "maximum": 1}}


def _number(most: float, least: float = 0, *, none: bool = False) -> Json:
    return {"type": "number", "minimum": least, "maximum": most, **({"nullable": True} if none else {})}


GUARDRAILS = {
    **{name: _number(0.99, none=True) for name in ("errors", "slow", "classes", "abstained", "disagreement", "overconfidence")},
    "slow_ms": _number(3.6e6),
    "memory_mb": _number(1e6, none=True),
    "alpha": _number(0.99, 1e-6),
}
STEP: Json = {"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": 1, "exclusiveMaximum": True}
CANARY = {
    "steps": array(STEP, minItems=1, maxItems=20),
    "dwell": _number(2_592_000),
    "requests": {"type": "integer", "minimum": 0, "maximum": 1_000_000_000},
}
STANDS = {
    "state": {"type": "string", "enum": list(get_args(CanaryState))},
    "step": COUNT,
    "reason": TEXT,
}
NEW_CANARY = record({**CANARY, "guardrails": record(GUARDRAILS, optional=GUARDRAILS)}, optional=(*CANARY, "guardrails"))
PLAN = {
    "control": WORD,
    "treatments": array(record(TREATMENT), maxItems=4),
    "shadows": array(WORD, maxItems=4),
    "salt": WORD,
    "unit": {"type": "string", "pattern": f"^((header|cookie):{HTTP_NAME}|field:[ -~]{{1,64}}|client|request)$"},
    "starts": {"type": "string", "format": "date-time", "nullable": True},
    "ends": {"type": "string", "format": "date-time", "nullable": True},
    "a_a": {**BOOLEAN, "description": "Whether the arms may be the same network"},
    "bandit": {**BOOLEAN, "description": "Whether labels move the shares, so that there is no verdict"},
    "canary": {**record({**CANARY, "guardrails": record(GUARDRAILS), **STANDS}), "nullable": True},
}
NEW_PLAN = {
    **PLAN,
    "treatments": array(record(TREATMENT, optional=("share",)), maxItems=4),
    "canary": {**NEW_CANARY, "nullable": True, "description": "Ramps the only treatment, which needs no share"},
    "replaces": {**COUNT, "nullable": True, "description": "The number of the plan in force, 0 for none"},
}

SCHEMAS: Json = {
    "Error": record({"code": WHOLE, "type": TEXT, "message": TEXT}),
    "ProtocolError": record({"error": TEXT}),
    "Status": record({"status": TEXT}),
    "Prediction": record(
        {
            "label": TEXT,
            "probabilities": {"type": "object", "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1}},
            "confidence": {"type": "number", "minimum": 0, "maximum": 1},
            "accepted": {
                **BOOLEAN,
                "description": "Whether it needs no human: model as sure, picture as legible as its card asks for",
            },
            "model": TEXT,
            "version": TEXT,
            "request_id": TEXT,
        }
    ),
    "Feedback": record(
        {
            "request_id": {"type": "string", "pattern": "^[!-~]{1,132}$"},
            "label": {"type": "string", "minLength": 1, "maxLength": 100, "description": "A class of a served model"},
        }
    ),
    "Instances": record(
        {
            "instances": array(
                {
                    "oneOf": [
                        PICTURE,
                        PIXELS,
                        record(
                            {
                                "data": {"oneOf": [PICTURE, PIXELS]},
                                "target": {"description": "To explain: a class, or its index; without it the likeliest"},
                            },
                            optional=("target",),
                            more=True,
                        ),
                    ]
                },
                minItems=1,
                maxItems=256,
            )
        },
        more=True,
    ),
    "Labels": record({"predictions": array({"oneOf": [WHOLE, TEXT]})}),
    "Explanations": record({"explanations": array(array(array(NUMBER)))}),
    "Tensor": record(TENSOR, optional=("parameters", "data")),
    "InputTensor": record(TENSOR, optional=("parameters", "data"), more=True),
    "InferenceRequest": record(
        {
            "id": TEXT,
            "parameters": PARAMETERS,
            "inputs": array(ref("InputTensor"), minItems=1, maxItems=1),
            "outputs": array(record({"name": TEXT, "parameters": PARAMETERS}, optional=("parameters",), more=True)),
        },
        optional=("id", "parameters", "outputs"),
        more=True,
    ),
    "InferenceResponse": record(
        {"id": TEXT, "model_name": TEXT, "model_version": TEXT, "outputs": array(ref("Tensor"))},
    ),
    "ServerMetadata": record({"name": TEXT, "version": TEXT, "extensions": array(TEXT)}),
    "ModelMetadata": record(
        {
            "name": TEXT,
            "versions": array(TEXT),
            "platform": TEXT,
            "inputs": array(
                record(
                    {
                        "name": TEXT,
                        "datatype": TEXT,
                        "shape": array(WHOLE),
                        "parameters": {
                            **record({"columns": array(record({"name": TEXT, "low": NUMBER, "high": NUMBER}))}),
                            "description": "Of a model that reads rows of a table: their columns, each with its range",
                        },
                    },
                    optional=("parameters",),
                )
            ),
            "outputs": array(record({"name": TEXT, "datatype": TEXT, "shape": array(WHOLE)})),
        }
    ),
    "Live": record({"live": BOOLEAN}),
    "Ready": record({"ready": BOOLEAN}),
    "ModelReady": record({"name": TEXT, "ready": BOOLEAN}),
    "Registration": record(
        {
            "url": {**TEXT, "description": "Of an archive; this or `upstream` is needed"},
            "upstream": {
                **TEXT,
                "description": "http://HOST:PORT/predictions/MODEL[/VERSION] of another server, which answers",
            },
            "version": {**TEXT, "description": "That the upstream is here"},
            "model_name": TEXT,
            "handler": TEXT,
            "runtime": {"type": "string", "enum": ["python", "python3", "LSP"]},
            "batch_size": WHOLE,
            "max_batch_delay": {**WHOLE, "description": "Milliseconds"},
            "initial_workers": {**WHOLE, "minimum": 0, "maximum": 256},
            "synchronous": BOOLEAN,
            "response_timeout": {**WHOLE, "description": "Seconds"},
            "startup_timeout": {**WHOLE, "description": "Seconds"},
            "s3_sse_kms": BOOLEAN,
        },
        optional=(
            *("url", "upstream", "version"),
            *("model_name", "handler", "runtime", "batch_size", "max_batch_delay", "initial_workers", "synchronous"),
            *("response_timeout", "startup_timeout", "s3_sse_kms"),
        ),
        more=True,
    ),
    "ModelList": record(
        {"nextPageToken": TEXT, "models": array(record({"modelName": TEXT, "modelUrl": TEXT}))}, optional=("nextPageToken",)
    ),
    "Model": record(
        {
            **dict.fromkeys(("modelName", "modelVersion", "modelUrl", "runtime", "parallelType", "deviceType"), TEXT),
            **dict.fromkeys(("minWorkers", "maxWorkers"), COUNT),
            **dict.fromkeys(("batchSize", "maxBatchDelay", "responseTimeout", "startupTimeout", "maxRetryTimeoutInSec"), WHOLE),
            **dict.fromkeys(("continuousBatching", "useJobTicket", "useVenv", "stateful", "loadedAtStartup"), BOOLEAN),
            "workers": array(
                record(
                    {
                        "id": TEXT,
                        "startTime": {"type": "string", "format": "date-time"},
                        "status": {"type": "string", "enum": ["READY", "UNLOADING"]},
                        "memoryUsage": COUNT,
                        "pid": COUNT,
                        "gpu": BOOLEAN,
                        "gpuUsage": TEXT,
                    }
                )
            ),
            "jobQueueStatus": record({"remainingCapacity": COUNT, "pendingRequests": COUNT}),
            "customizedMetadata": {"description": "What a handler says of itself, where it is asked"},
        },
        optional=("customizedMetadata",),
        more=True,
    ),
    "NewTrafficPlan": record(NEW_PLAN, optional=[name for name in NEW_PLAN if name != "control"]),
    "TrafficPlan": record({"model": TEXT, "number": COUNT, "since": {"type": "string", "format": "date-time"}, **PLAN}),
}
