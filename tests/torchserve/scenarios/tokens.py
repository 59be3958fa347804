"""Token authorization, CORS, and a model API that is switched off: what TorchServe does unless it is told otherwise."""

from tests.serving.endpoint import digit
from tests.torchserve.normal import success
from tests.torchserve.table import Scenario, described, deviating, infer, manage, metrics

HEALTHY = success('{\n  "status": "Healthy"\n}\n')
PREFLIGHT = {"origin": "http://elsewhere", "access-control-request-method": "POST"}
INFERENCE, MANAGEMENT, API = "Bearer {inference}", "Bearer {management}", "Bearer {API}"


TOKENS = Scenario(
    "tokens",
    "token",
    (
        infer("GET", "/ping", note="with its key", headers={"authorization": INFERENCE}),
        deviating("health", infer("GET", "/ping", note="without a key"), HEALTHY),
        deviating(
            "health", infer("GET", "/ping", note="with a wrong key", headers={"authorization": "Bearer nonsense"}), HEALTHY
        ),
        infer("POST", "/predictions/digits", digit(1), note="without a key"),
        infer("POST", "/predictions/digits", digit(1), note="with its key", headers={"authorization": INFERENCE}),
        infer("POST", "/predictions/digits", digit(1), note="with another port's key", headers={"authorization": MANAGEMENT}),
        infer("POST", "/predictions/digits", digit(1), note="with the API key", headers={"authorization": API}),
        infer("POST", "/predictions/digits", digit(1), note="without Bearer", headers={"authorization": "{inference}"}),
        infer("POST", "/predictions/digits", digit(1), note="with Basic", headers={"authorization": "Basic {inference}"}),
        deviating(
            "bearer",
            infer(
                "POST",
                "/predictions/digits",
                digit(1),
                note="with a quiet bearer",
                headers={"authorization": "bearer {inference}"},
            ),
            success("7", None),
        ),
        infer("POST", "/predictions/digits", digit(1), note="with Bearer alone", headers={"authorization": "Bearer"}),
        infer("GET", "/nothing", note="without a key"),
        infer("GET", "/nothing", note="with its key", headers={"authorization": INFERENCE}),
        infer("GET", "/", note="without a key"),
        described(infer("OPTIONS", "/", note="without a key")),
        described(infer("GET", "/api-description", note="without a key")),
        manage("GET", "/models", note="without a key"),
        manage("GET", "/models", note="with its key", headers={"authorization": MANAGEMENT}),
        manage("GET", "/models", note="with another port's key", headers={"authorization": INFERENCE}),
        manage("GET", "/models/digits", note="at start-up", headers={"authorization": MANAGEMENT}, until='"READY"'),
        described(manage("OPTIONS", "/", note="without a key")),
        manage("GET", "/nothing", note="without a key"),
        metrics("GET", "/metrics", note="without a key"),
    ),
)

CLOSED = Scenario(
    "closed model API",
    "token",
    (
        manage("POST", "/models?url=mirror.mar", headers={"authorization": MANAGEMENT}),
        manage("DELETE", "/models/digits", headers={"authorization": MANAGEMENT}),
        manage("DELETE", "/models/digits/1.0", headers={"authorization": MANAGEMENT}),
        manage("DELETE", "/models/nobody", headers={"authorization": MANAGEMENT}),
        manage("POST", "/models?url=mirror.mar", note="without a key"),
        manage("PUT", "/models/digits?min_worker=1&synchronous=true", headers={"authorization": MANAGEMENT}),
        manage("PUT", "/models/digits/1.0/set-default", headers={"authorization": MANAGEMENT}),
    ),
)

ROTATION = Scenario(
    "rotation of keys",
    "token",
    (
        manage("GET", "/token?type=inference", note="without a key"),
        manage("GET", "/token?type=inference", note="with another key", headers={"authorization": MANAGEMENT}),
        manage("GET", "/token?type=nothing", headers={"authorization": API}),
        manage("GET", "/token", headers={"authorization": API}),
        manage("POST", "/token?type=inference", headers={"authorization": API}),
        manage("GET", "/token?type=inference", headers={"authorization": API}),
        infer("GET", "/ping", note="with its new key", headers={"authorization": INFERENCE}),
        manage("GET", "/token?type=management", headers={"authorization": API}),
        manage("GET", "/models", note="with its new key", headers={"authorization": MANAGEMENT}),
    ),
)

CORS = Scenario(
    "cors",
    "token",
    (
        infer("GET", "/ping", note="from elsewhere", headers={"authorization": INFERENCE, "origin": "http://elsewhere"}),
        infer("GET", "/nothing", note="refused, from elsewhere", headers={"origin": "http://elsewhere"}),
        deviating(
            "health",
            infer("OPTIONS", "/ping", note="before", headers=PREFLIGHT),
            HEALTHY,
        ),
        infer("OPTIONS", "/predictions/digits", note="before", headers=PREFLIGHT),
    ),
)

SCENARIOS = (TOKENS, CLOSED, ROTATION, CORS)
