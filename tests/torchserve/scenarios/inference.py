"""The inference port: every path, method, body and header, with a handler that answers what it was given."""

from tests.serving.endpoint import digit
from tests.torchserve.exchange import Ask
from tests.torchserve.normal import error, success
from tests.torchserve.table import (
    FORM,
    JSON,
    URLENCODED,
    Row,
    Scenario,
    ask,
    described,
    deviating,
    infer,
    multipart,
    registered,
)

# Upstream's description of one model, whose names of paths are a pattern, or wrong; ours names the paths of that model.
ABOUT_A_MODEL = ("POST /prediction/mirror", "POST /v1/models/{model_name}:predict", "POST /v2/models/{model_name}/infer")
NAMED = {"headers": {"x-request-id": "mine"}}
LIMIT = 6_553_500  # bytes of a request, TorchServe's default

PATHS = Scenario(
    "paths",
    "plain",
    (
        registered("mirror"),
        infer("POST", "/predictions/mirror", "x"),
        infer("POST", "/predictions/mirror/1.0", "x"),
        infer("POST", "/predictions/mirror/1.0/any/rest", "x"),
        infer("POST", "/predictions/mirror/1.0/any/rest/?a=1", "x"),
        infer("POST", "/predictions/mirror?a=1&b=2", "x"),
        infer("POST", "/explanations/mirror", "x"),
        infer("POST", "/explanations/mirror/1.0", "x"),
        infer("POST", "/v1/models/mirror:predict", "x"),
        infer("POST", "/v1/models/mirror:explain", "x"),
        infer("POST", "/v2/models/mirror/infer", "x"),
        infer("POST", "/v2/models/mirror/explain", "x"),
        infer("POST", "/invocations?model_name=mirror&a=1", "x"),
        infer("POST", "/invocations", "model_name=mirror&a=1", URLENCODED, note="named in a form"),
        deviating("only-model", infer("POST", "/invocations", "x"), success("<any>", None)),
        infer("POST", "/invocations?model_name=nobody", "x"),
        infer("POST", "/models/mirror/invoke?a=1", "x"),
        infer("POST", "/models/nobody/invoke", "x"),
        infer("POST", "/mirror/predict?a=1", "x"),
        infer("POST", "/mirror/1.0/predict?a=1", "x"),
        infer("POST", "/nobody/predict", "x"),
        infer("POST", "/predictions", "x"),
        infer("POST", "/predictions/", "x"),
        infer("POST", "/predictions/nobody", "x"),
        infer("POST", "/predictions/nobody/1.0", "x"),
        infer("POST", "/predictions/mirror/9.9", "x"),
        infer("POST", "/explanations/nobody", "x"),
        infer("POST", "/v1/models/nobody:predict", "x"),
        infer("POST", "/v1/models/mirror", "x"),
        infer("POST", "/v1/models/mirror:guess", "x"),
        infer("POST", "/v2/models/nobody/infer", "x"),
        infer("POST", "/v2/models/mirror", "x"),
        infer("POST", "/v2/models/mirror/guess", "x"),
        infer("GET", "/v2"),
        infer("GET", "/v2/health/live"),
        infer("POST", "/predictions/mirror/", "x"),
        infer("POST", "/predictions/mirror/1.0//", "x"),
        infer("POST", "//predictions/mirror", "x"),
        infer("POST", "/predictions//mirror", "x"),
        infer("POST", "/predictions/mi%72ror", "x"),
        infer("POST", "/Predictions/mirror", "x"),
        infer("POST", "/predict", "x"),
        infer("POST", "/wfpredict/nobody", "x"),
        infer("GET", "/models"),
        infer("GET", "/models/mirror"),
        infer("GET", "/nothing"),
        infer("GET", "/"),
        infer("POST", "/"),
        infer("GET", "/?a=1"),
    ),
)

METHODS = Scenario(
    "methods",
    "plain",
    (
        infer("GET", "/ping", note="without models"),
        registered("mirror"),
        *(infer(method, "/ping") for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD")),
        infer("GET", "/ping/"),
        infer("GET", "/ping?a=1"),
        infer("GET", "/ping/more"),
        *(infer(method, "/predictions/mirror") for method in ("GET", "DELETE", "HEAD")),
        *(infer(method, "/predictions/mirror", "x") for method in ("PUT", "PATCH")),
        infer("HEAD", "/nothing"),
        infer("PUT", "/explanations/mirror", "x"),
        described(infer("OPTIONS", "/")),
        infer("OPTIONS", "/ping"),
        described(infer("OPTIONS", "/predictions/mirror"), *ABOUT_A_MODEL),
        described(infer("OPTIONS", "/explanations/mirror"), *ABOUT_A_MODEL),
        infer("OPTIONS", "/predictions/nobody"),
        infer("OPTIONS", "/nothing"),
        described(infer("GET", "/api-description")),
        described(infer("POST", "/api-description")),
    ),
)

TWO_FIELDS = multipart(('content-disposition: form-data; name="a"', "1"), ('content-disposition: form-data; name="b"', "2"))
TYPED = multipart(
    ('content-disposition: form-data; name="text"\r\ncontent-type: text/plain', "words"),
    ('content-disposition: form-data; name="html"\r\ncontent-type: text/html; charset=utf-8', "<b>Grö</b>"),
    ('content-disposition: form-data; name="json"\r\ncontent-type: application/json', '{"a": [1, null]}'),
    ('content-disposition: form-data; name="broken"\r\ncontent-type: application/json', "{"),
    ('content-disposition: form-data; name="none"', "plain"),
)
FILE = multipart(
    ('content-disposition: form-data; name="data"; filename="a.bin"\r\ncontent-type: application/octet-stream', b"\x00\xff\r\n")
)
FILES = multipart(
    ('content-disposition: form-data; name="data"; filename="a.txt"\r\ncontent-type: text/plain', "first"),
    ('content-disposition: form-data; name="data"; filename="b.txt"\r\ncontent-type: text/plain', "second"),
)

BODIES = Scenario(
    "bodies",
    "plain",
    (
        registered("mirror"),
        infer("POST", "/predictions/mirror", note="no body"),
        infer("POST", "/predictions/mirror", b"\x00\xff", note="no content-type"),
        infer("POST", "/predictions/mirror", b"\x00\xff", "application/octet-stream"),
        infer("POST", "/predictions/mirror", "words", "text/plain", note="text"),
        infer("POST", "/predictions/mirror", "Größe", "text/csv; charset=utf-8", note="text with letters"),
        infer("POST", "/predictions/mirror", b"\xff\xfe", "text/plain", note="text that is no UTF-8"),
        infer("POST", "/predictions/mirror", "words", "TEXT/plain", note="loud text"),
        infer("POST", "/predictions/mirror", '{"a": 1.5, "b": [true, null]}', JSON, note="object"),
        infer("POST", "/predictions/mirror", "[1, 2]", "application/json; charset=utf-8", note="list"),
        infer("POST", "/predictions/mirror", '{"a": 1', JSON, note="broken object"),
        infer("POST", "/predictions/mirror", '{"a": 1}', "Application/JSON", note="loud object"),
        infer("POST", "/predictions/mirror", "", JSON, note="empty object"),
        infer("POST", "/predictions/mirror", "a=1&b=two+words&c=%47r%C3%B6%C3%9Fe", URLENCODED, note="fields"),
        infer("POST", "/predictions/mirror", "a=1&a=2", URLENCODED, note="a field twice"),
        infer("POST", "/predictions/mirror", "a=&b", URLENCODED, note="fields without values"),
        infer("POST", "/predictions/mirror", "", URLENCODED, note="no field"),
        infer("POST", "/predictions/mirror", TWO_FIELDS, FORM, note="two parts"),
        infer("POST", "/predictions/mirror", TYPED, FORM, note="parts with types"),
        infer("POST", "/predictions/mirror", FILE, FORM, note="a file"),
        infer("POST", "/predictions/mirror", FILES, FORM, note="two files of one name"),
        infer("PUT", "/predictions/mirror", TWO_FIELDS, FORM, note="two parts"),
        infer("POST", "/predictions/mirror", multipart(), FORM, note="no part"),
        infer("POST", "/predictions/mirror", TWO_FIELDS[:-20], FORM, note="a torn form"),
        infer("POST", "/predictions/mirror", TWO_FIELDS, "multipart/form-data", note="no boundary"),
        infer("POST", "/predictions/mirror", TWO_FIELDS, 'multipart/form-data; boundary="boundary"', note="quoted boundary"),
        infer("POST", "/predictions/mirror", "words", note="packed", headers={"content-encoding": "gzip"}),
        deviating(
            "header-names",
            infer("POST", "/predictions/mirror", "x", note="headers", headers={"X-Mixed": "Case", "accept": "text/html"}),
            {"words": {'    "X-Mixed": "Case",\n': "", '"url_path": ""': '"url_path": "",\n    "x-mixed": "Case"'}},
        ),
        deviating(
            "request-id", infer("POST", "/predictions/mirror", "x", note="named", headers={"x-request-id": "mine"}), NAMED
        ),
        infer(
            "POST",
            "/predictions/mirror/1.0/rest",
            "x",
            note="headers of TorchServe",
            headers={"url_path": "mine", "explain": "True"},
        ),
        deviating(
            "only-model",
            infer(
                "POST", "/invocations?a=1&a=2&b=%C3%B6&c", "x", note="query", headers={"X-Amzn-SageMaker-Target-Model": "other"}
            ),
            success("<any>", None),
        ),
    ),
)

EXPECTING = {"expect": "100-continue"}


def _too_large(asked: Ask, note: str) -> Row:
    return deviating("closing", Row((asked,), note), {"headers": {"connection": "close"}})


LARGE = Scenario(
    "large",
    "plain",
    (
        registered("steps"),
        infer("POST", "/predictions/steps", b"x" * LIMIT, note="as large as allowed"),
        _too_large(ask("POST", "/predictions/steps", announced=LIMIT + 1), "announced larger"),
        _too_large(ask("POST", "/nothing", announced=LIMIT + 1), "announced larger"),
        _too_large(ask("POST", "/predictions/steps", b"x" * (LIMIT + 1)), "larger"),
        _too_large(ask("POST", "/predictions/steps", announced=LIMIT + 1, headers=EXPECTING), "announced larger, expecting"),
        infer("POST", "/predictions/steps", "x", note="expecting", headers=EXPECTING),
        infer("POST", "/predictions/steps", "x", note="after it"),
    ),
)

PICTURE = multipart(('content-disposition: form-data; name="data"; filename="a.png"\r\ncontent-type: image/png', digit(1)))

DIGITS = Scenario(
    "digits",
    "plain",
    (
        registered("digits-1.0"),
        infer("POST", "/predictions/digits", digit(1)),
        infer("POST", "/predictions/digits", digit(2), "image/png", note="typed"),
        infer("PUT", "/predictions/digits", digit(3)),
        infer("POST", "/predictions/digits", PICTURE, FORM, note="form"),
        infer("POST", "/predictions/digits/1.0", digit(1)),
        infer("POST", "/predictions/digits/9.9", digit(1)),
        infer("POST", "/v1/models/digits:predict", digit(1)),
        infer("POST", "/v2/models/digits/infer", digit(1)),
        infer("POST", "/invocations?model_name=digits", digit(1)),
        infer("POST", "/models/digits/invoke", digit(1)),
        infer("POST", "/digits/predict", digit(1)),
        infer("POST", "/digits/1.0/predict", digit(1)),
        deviating("explanations", infer("POST", "/explanations/digits", digit(1)), success("[[0.0, <any>]]<any>")),
        deviating(
            "request-id", infer("POST", "/predictions/digits", digit(1), note="named", headers={"x-request-id": "mine"}), NAMED
        ),
        infer("POST", "/predictions/digits", digit(1), note="as JSON", headers={"accept": JSON}),
        deviating(
            "bad-input",
            infer("POST", "/predictions/digits", "no picture", note="no picture"),
            error(400, "BadRequestException", "The image cannot be decoded: 10 bytes <any>"),
        ),
        deviating(
            "bad-input",
            infer("POST", "/predictions/digits", note="empty"),
            error(400, "BadRequestException", "The image is empty: 0 bytes. <any>"),
        ),
    ),
)

SCENARIOS = (PATHS, METHODS, BODIES, LARGE, DIGITS)
