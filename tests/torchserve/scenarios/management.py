"""The management port: models are registered, scaled, described, listed, chosen and unregistered."""

import json
from collections.abc import Mapping
from typing import Any

from tests.torchserve.normal import NO_SUCH_PATH, error, success
from tests.torchserve.table import JSON, URLENCODED, Scenario, described, deviating, manage, registered

ABOUT_A_MODEL = (  # upstream's names of paths are patterns; ours are those of the model
    "DELETE /models/{model_name}",
    "DELETE /models/{model_name}/{model_version}",
    "GET /models/{model_name}",
    "GET /models/{model_name}/{model_version}",
    "PUT /models/{model_name}",
    "PUT /models/{model_name}/{model_version}",
    "PUT /models/{model_name}/{model_version}/set-default",
)
BOUND = {"url": "mirror.mar", "model_name": "bound", "batch_size": 2, "response_timeout": 9, "startup_timeout": 8}
NESTED = {"url": "mirror.mar", "model_name": "nested", "synchronous": True, "initial_workers": "1", "batch_size": None}

NO_ZIP = error(400, "InvalidModelException", "<any>text.mar is not a whole zip file <any>")
NO_JSON = error(400, "BadRequestException", "The body is not <any>")
DELAY = {"words": {'"maxBatchDelay": -10000': '"maxBatchDelay": 100'}}


def _not_allowed(scheme: str, name: str) -> Mapping[str, Any]:
    url = f"{scheme}://<address>/{name}"
    return error(404, "ModelNotFoundException", f"Given URL {url} does not match any allowed URL(s)")


REGISTRATION = Scenario(
    "registration",
    "plain",
    (
        manage("POST", "/models"),
        manage("POST", "/models?url="),
        manage("POST", "/models?model_name=mirror"),
        manage("POST", "/models?url=nope.mar"),
        manage("POST", "/models?url=../store/mirror.mar"),
        manage("POST", "/models?url=a/../mirror.mar"),
        manage("POST", "/models?url=/mirror.mar&model_name=rooted"),
        deviating("broken-archive", manage("POST", "/models?url=text.mar"), NO_ZIP),
        manage("POST", "/models?url=nameless.mar"),
        manage("POST", "/models?url=torn.mar"),
        deviating(
            "broken-archive",
            manage("POST", "/models?url=slip.mar"),
            error(400, "InvalidModelException", "Failed to save model: <any>"),
        ),
        manage("POST", "/models?url=mirror.mar&runtime=python4"),
        manage("GET", "/models", note="after the refusals"),
        manage("POST", "/models?url=mirror.mar"),
        manage("POST", "/models?url=mirror.mar", note="again"),
        manage("POST", "/models?url=sub/mirror.mar&model_name=below"),
        manage("GET", "/models/below"),
        manage("POST", "/models?url=nameless.mar&model_name=named"),
        manage("POST", "/models?url=bare.mar&model_name=bare"),
        manage("GET", "/models/bare"),
        deviating("unreadable", manage("POST", "/models?url=text.mar&model_name=text"), NO_ZIP),
        manage("POST", "/models?url=mirror.mar&model_name=numbers&batch_size=two&max_batch_delay=&response_timeout=x"),
        manage("GET", "/models/numbers"),
        manage("POST", "/models?url=mirror.mar&model_name=settled&batch_size=4&max_batch_delay=30&startup_timeout=60"),
        manage("GET", "/models/settled"),
        manage("POST", "/models?url=mirror.mar&model_name=three&runtime=python3"),
        manage("POST", "/models?url=mirror.mar&url=nope.mar&model_name=twice"),
        manage("POST", "/models?url=mirror.mar&model_name=unknown&colour=blue"),
        deviating("urls", manage("POST", "/models?url=http://127.0.0.1:9/far.mar"), _not_allowed("http", "far.mar")),
        deviating("urls", manage("POST", "/models?url=ftp://127.0.0.1:9/far.mar"), _not_allowed("ftp", "far.mar")),
        deviating("urls", manage("POST", "/models?url=http://127.0.0.1:9/mirror.mar"), _not_allowed("http", "mirror.mar")),
        deviating(
            "unreadable",
            manage("GET", "/models", note="at the end"),
            {"words": {'    {\n      "modelName": "text",\n      "modelUrl": "text.mar"\n    },\n': ""}},
        ),
    ),
)

AS_JSON = Scenario(
    "registration as JSON",
    "plain",
    (
        manage("POST", "/models", json.dumps(BOUND), JSON, note="complete"),
        deviating("json-delay", manage("GET", "/models/bound"), DELAY),
        manage("POST", "/models?url=nope.mar", json.dumps(NESTED), JSON, note="beside a query"),
        deviating("json-delay", manage("GET", "/models/nested", until='"READY"'), DELAY),
        manage("POST", "/models", "{}", JSON, note="empty"),
        deviating("java", manage("POST", "/models", "", JSON, note="no body"), NO_JSON),
        deviating("java", manage("POST", "/models", '{"url":', JSON, note="broken"), NO_JSON),
        deviating("java", manage("POST", "/models", "[]", JSON, note="a list"), NO_JSON),
        manage("POST", "/models", '{"url": 3}', JSON, note="a number for a name"),
        deviating(
            "words-for-numbers",
            manage("POST", "/models", '{"url": "mirror.mar", "batch_size": "two"}', JSON, note="a word for a number"),
            success(
                '{\n  "status": "Model \\"mirror\\" Version: 1.0 registered with 0 initial workers.'
                ' Use scale workers API to add workers for the model."\n}\n'
            ),
        ),
        manage("POST", "/models", '{"url": "mirror.mar", "model_name": "charset"}', f"{JSON}; charset=utf-8", note="charset"),
        manage("POST", "/models", '{"url": "mirror.mar", "model_name": "untyped"}', note="without its type"),
        manage("POST", "/models", "url=mirror.mar", URLENCODED, note="a form"),
        manage("POST", "/models", '{"url": "mirror.mar", "model_name": "odd", "colour": "blue"}', JSON, note="unknown key"),
    ),
)

WORKERS = Scenario(
    "workers",
    "plain",
    (
        registered("mirror"),
        manage("GET", "/models/mirror"),
        registered("mirror-2", "initial_workers=1&synchronous=false"),
        manage("GET", "/models/mirror/2.0", until='"READY"'),
        registered("steps", "initial_workers=1&synchronous=True"),
        registered("mirror", "synchronous=false&model_name=none"),
        manage("PUT", "/models/mirror?min_worker=2&synchronous=true"),
        manage("GET", "/models/mirror", note="with two workers"),
        manage("PUT", "/models/mirror?min_worker=1&max_worker=3&synchronous=true"),
        manage("PUT", "/models/mirror/2.0?min_worker=0&synchronous=true"),
        manage("GET", "/models/mirror/2.0", note="without workers"),
        manage("PUT", "/models/mirror?min_worker=1&model_version=2.0&synchronous=true"),
        manage("PUT", "/models/mirror?synchronous=true", note="without numbers"),
        manage("PUT", "/models/mirror?min_worker=two&synchronous=true"),
        manage("PUT", "/models/mirror?min_worker=1"),
        manage("PUT", "/models/mirror?min_worker=1&max_worker=0"),
        manage("PUT", "/models/mirror?max_worker=0"),
        deviating(
            "java",
            manage("PUT", "/models/mirror?min_worker=-1"),
            error(400, "BadRequestException", "min_worker is -1. Ask for 0 to 256."),
        ),
        manage("PUT", "/models/mirror?min_worker=1&number_gpu=1&timeout=1&synchronous=true"),
        manage("PUT", "/models/nobody?min_worker=1"),
        manage("PUT", "/models/mirror/9.9?min_worker=1"),
        manage("PUT", "/models/mirror?min_worker=1&model_version=9.9"),
        manage("PUT", "/models/mirror?min_worker=0&synchronous=true"),
        manage("GET", "/v1/models/mirror", note="without workers"),
    ),
)

VERSIONS = Scenario(
    "versions",
    "plain",
    (
        registered("mirror", ""),
        registered("mirror-2", ""),
        registered("settled", "initial_workers=0"),
        manage("GET", "/models/mirror"),
        manage("GET", "/models/mirror/"),
        manage("GET", "/models/mirror/2.0"),
        manage("GET", "/models/mirror/all"),
        manage("GET", "/models/settled/all"),
        manage("GET", "/models/nobody"),
        manage("GET", "/models/nobody/all"),
        manage("GET", "/models/nobody/1.0"),
        manage("GET", "/models/mirror/9.9"),
        manage("GET", "/models/mirror?customized=true"),
        manage("GET", "/models/mirror/2.0?customized=true"),
        manage("GET", "/models/mirror/2.0/set-default"),
        manage("PUT", "/models/mirror/9.9/set-default"),
        manage("PUT", "/models/nobody/1.0/set-default"),
        manage("POST", "/models/mirror/2.0/set-default"),
        manage("PUT", "/models/mirror/2.0/set-default"),
        manage("PUT", "/models/mirror/2.0/set-default/"),
        manage("GET", "/models/mirror", note="after set-default"),
        manage("GET", "/models", note="after set-default"),
        manage("DELETE", "/models/mirror", note="the default, while there is another"),
        manage("DELETE", "/models/mirror/2.0", note="the default, while there is another"),
        manage("DELETE", "/models/mirror/9.9"),
        manage("DELETE", "/models/nobody"),
        manage("DELETE", "/models/nobody/1.0"),
        manage("DELETE", "/models/mirror/1.0"),
        manage("DELETE", "/models/mirror", note="the only version"),
        manage("DELETE", "/models/mirror", note="again"),
        registered("mirror", "initial_workers=0"),
    ),
)

PAGES = Scenario(
    "pages",
    "plain",
    (
        manage("GET", "/models", note="none"),
        *(registered("mirror", f"model_name={name}") for name in ("delta", "alpha", "charlie", "bravo")),
        manage("GET", "/models", note="four"),
        manage("GET", "/models/"),
        manage("GET", "/models?limit=3"),
        manage("GET", "/models?limit=3&next_page_token=3"),
        manage("GET", "/models?limit=2"),
        deviating(
            "last-page",
            manage("GET", "/models?limit=2&next_page_token=2"),
            {"words": {'  "nextPageToken": "4",\n': ""}},
        ),
        deviating("last-page", manage("GET", "/models?limit=4"), {"words": {'  "nextPageToken": "4",\n': ""}}),
        manage("GET", "/models?limit=5"),
        manage("GET", "/models?limit=0"),
        manage("GET", "/models?limit=-1"),
        manage("GET", "/models?limit=101"),
        manage("GET", "/models?limit=many"),
        manage("GET", "/models?next_page_token=9"),
        manage("GET", "/models?next_page_token=4"),
        manage("GET", "/models?next_page_token=-1"),
        manage("GET", "/models?next_page_token=none"),
        manage("GET", "/models?limit=1&limit=2"),
    ),
)

OTHERS = Scenario(
    "other paths",
    "plain",
    (
        registered("mirror"),
        manage("GET", "/v1/models/mirror"),
        manage("GET", "/v1/models/nobody"),
        manage("POST", "/v1/models/mirror"),
        manage("GET", "/v2/models/mirror"),
        manage("PUT", "/models"),
        manage("DELETE", "/models"),
        manage("PATCH", "/models/mirror"),
        manage("POST", "/models/mirror"),
        manage("HEAD", "/models"),
        manage("HEAD", "/models/mirror"),
        manage("GET", "/"),
        manage("POST", "/"),
        manage("GET", "/nothing"),
        manage("GET", "//models"),
        manage("GET", "/models//mirror"),
        manage("GET", "/models/mirror/1.0/more"),
        manage("PUT", "/models/mirror/1.0/set-default/more"),
        manage("GET", "/ping"),
        manage("POST", "/predictions/mirror", "x"),
        manage("GET", "/metrics"),
        manage("GET", "/token?type=inference"),
        described(manage("OPTIONS", "/")),
        manage("OPTIONS", "/models"),
        described(manage("OPTIONS", "/models/mirror"), *ABOUT_A_MODEL),
        manage("OPTIONS", "/models/nobody"),
        described(manage("GET", "/api-description")),
        deviating("workflows", manage("GET", "/workflows"), NO_SUCH_PATH),
        deviating("workflows", manage("GET", "/workflows/none"), NO_SUCH_PATH),
        deviating("workflows", manage("POST", "/workflows"), NO_SUCH_PATH),
        deviating("workflows", manage("DELETE", "/workflows/none"), NO_SUCH_PATH),
        deviating(
            "request-id",
            manage("GET", "/models", note="named", headers={"x-request-id": "mine"}),
            {"headers": {"x-request-id": "mine"}},
        ),
        manage("DELETE", "/models/mirror/1.0/"),
    ),
)

# The last one of its server: TorchServe cannot unregister such a model.
UNREACHABLE = Scenario(
    "unreachable",
    "plain",
    (
        deviating(
            "names",
            manage("POST", "/models?url=mirror.mar&model_name=odd%20name%2Fslash"),
            error(
                400,
                "BadRequestException",
                "'odd name/slash' cannot be the name of a model or a version. Use letters, digits, '_', '-' and '.'.",
            ),
        ),
        deviating("names", manage("GET", "/models"), {"body": '{\n  "models": []\n}\n'}),
        manage("GET", "/models/odd%20name%2Fslash"),
        manage("DELETE", "/models/odd%20name%2Fslash"),
    ),
)

SCENARIOS = (REGISTRATION, AS_JSON, WORKERS, VERSIONS, PAGES, OTHERS, UNREACHABLE)
