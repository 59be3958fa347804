"""The metrics port: names, labels, order and filter."""

from tests.torchserve.table import Scenario, described, infer, metrics, registered

METRICS = Scenario(
    "metrics",
    "plain",
    (
        registered("based", "initial_workers=1&model_name=metered"),
        infer("POST", "/predictions/metered", "a", note="default version"),
        infer("POST", "/predictions/metered", "b", note="default version, again"),
        infer("POST", "/predictions/metered/1.0", "c"),
        infer("POST", "/predictions/metered/9.9", "d"),
        registered("mirror", "model_name=idle"),
        infer("POST", "/predictions/idle", "e", note="so that a 5XX has been counted"),
        metrics("GET", "/metrics", until='HandlerTime{ModelName="metered"'),
        metrics("POST", "/metrics", view="families"),
        metrics("GET", "/metrics/", view="families"),
        metrics("GET", "/metrics?name[]=ts_inference_requests_total"),
        metrics("GET", "/metrics?name[]=Requests2XX&name[]=QueueTime"),
        metrics("GET", "/metrics?name%5B%5D=Requests5XX"),
        metrics("GET", "/metrics?name[]=nothing"),
        metrics("GET", "/metrics?name=Requests2XX", view="families"),
        metrics("GET", "/", view="exact"),
        metrics("GET", "/nothing", view="exact"),
        metrics("GET", "/ping", view="exact"),
        metrics("GET", "/metrics/more", view="families"),
        described(metrics("OPTIONS", "/")),
        metrics("OPTIONS", "/metrics", view="families"),
        described(metrics("GET", "/api-description")),
        metrics("HEAD", "/metrics", view="exact"),
    ),
)

SCENARIOS = (METRICS,)
