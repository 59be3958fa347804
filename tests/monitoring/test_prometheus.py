"""A real Prometheus scrapes a running endpoint by our rules: every expression has an answer, and data where it must."""

import json
import time
from collections.abc import Iterator

import pytest

from demlopment.commands.monitor import objectives
from demlopment.home import Home
from demlopment.monitoring.alerts import alerts
from demlopment.monitoring.dashboards import RINGING, dashboard
from demlopment.monitoring.rules import rules
from demlopment.monitoring.signals import signals
from demlopment.monitoring.watched import Signal
from demlopment.serving import monitors
from demlopment.settings import Settings
from tests.prometheus import Prometheus, scraping
from tests.serving.endpoint import Load, Running, digit, eventually, registered, running

OBJECTIVES = objectives(Settings(), "digits here")
UNWATCHED = dict.fromkeys(("errors", "slow", "classes", "abstained", "disagreement", "overconfidence", "memory_mb"))
SIGNALS = [each for group in signals(OBJECTIVES).values() for each in group]
ALERTS = alerts(OBJECTIVES)
# Of Python handlers, of which this endpoint has none.
ABSENT = {
    "Queue of a handler",
    "Workers of handlers that died, over 15 minutes",
    "Measurements of a handler that were dropped",
}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Digits 1.0, which monitors have looked at, with 2.0 as its canary, and a model that has 2.0 as its shadow."""
    root = tmp_path_factory.mktemp("endpoint")
    looked = monitors.path(Home(root), "digits", "1.0")
    looked.parent.mkdir()
    drift = dict.fromkeys(monitors.FIELDS) | {"monitor": "drift", "value": 0.5}
    looked.write_text(json.dumps({"format": monitors.FORMAT, "at": time.time(), "findings": [drift]}))
    registered(root, "1.0", "2.0")
    registered(root, "1.0", "2.0", model="shadowed")
    with running(root) as started:
        ramp = {
            "control": "1.0",
            "treatments": [{"version": "2.0"}],
            "canary": {"steps": [0.5], "dwell": 3600, "guardrails": UNWATCHED},
        }
        shadow = {"control": "1.0", "shadows": ["2.0"]}
        for model, plan in {"digits": ramp, "shadowed": shadow}.items():
            started.management.put(f"/models/{model}/traffic", json=plan).raise_for_status()
        yield started


@pytest.fixture(scope="module")
def prometheus(endpoint: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Has scraped the endpoint more than once while it was asked."""
    folder = tmp_path_factory.mktemp("prometheus")
    path = folder / "demlopment.rules.yml"
    path.write_text(rules(OBJECTIVES))
    target = endpoint.addresses.metrics.removeprefix("http://")
    with scraping(folder, target, path, job=OBJECTIVES.job) as server, Load(endpoint, clients=1):
        endpoint.inference.post("/predictions/shadowed", content=digit(1))
        endpoint.inference.post("/explanations/digits/1.0", content=digit(1))
        answer = endpoint.inference.post("/predictions/digits", content=digit(1))
        endpoint.inference.post("/feedback", json={"request_id": answer.headers["x-request-id"], "label": "1"})
        assert eventually(lambda: bool(server.query("demlopment:slow:share3d")))
        yield server


def test_every_rule_is_evaluated_without_an_error(prometheus: Prometheus) -> None:
    def evaluated() -> bool:
        return all(rule["health"] != "unknown" for rule in prometheus.rules())

    assert eventually(evaluated)
    found = prometheus.rules()
    assert len(found) == len(ALERTS) + len([each for each in SIGNALS if each.recorded])
    assert not [(rule["name"], rule.get("lastError")) for rule in found if rule["health"] != "ok"]


@pytest.mark.parametrize("signal", [each for each in SIGNALS if each.title not in ABSENT], ids=lambda each: each.legend or "")
def test_every_signal_has_data(prometheus: Prometheus, signal: Signal) -> None:
    assert eventually(lambda: bool(prometheus.query(signal.expression))), signal
    assert eventually(lambda: bool(prometheus.query(signal.series))), signal
    assert all(sample["metric"]["job"] == OBJECTIVES.job for sample in prometheus.query(signal.series))


def test_what_is_absent_is_asked_without_an_error(prometheus: Prometheus) -> None:
    absent = [each for each in SIGNALS if each.title in ABSENT]

    assert len(absent) == len(ABSENT)
    assert not [each for each in absent if prometheus.query(each.expression)]


def test_every_query_of_the_dashboard_is_answered_with_what_its_signal_has(prometheus: Prometheus) -> None:
    panels = [panel for panel in json.loads(dashboard(OBJECTIVES))["panels"] if panel["type"] != "row"]
    queries = {target["expr"]: panel["title"] for panel in panels for target in panel["targets"]}

    empty = {
        title
        for query, title in queries.items()
        if query != RINGING and title not in ABSENT and not prometheus.query(query.replace("$job", ".*"))
    }
    others = {query for query in queries if prometheus.query(query.replace("$job", "none of these"))}

    assert len(queries) > 30
    assert not empty
    assert not others


def test_an_endpoint_that_is_well_rings_nothing(prometheus: Prometheus) -> None:
    rung = [alert.name for alert in ALERTS if prometheus.query(alert.expression)]

    # The machine of the tests is theirs, and nobody has two days to look at what it serves.
    assert not set(rung) - {
        "MonitorsNever",
        "ProcessesBusy",
        "MemoryShort",
        "DiskFills",
        "DiskFull",
        "SlowFast",
        "SlowSteadily",
    }


def test_a_canary_that_is_paused_is_an_alert_that_waits_for_its_hour(prometheus: Prometheus, endpoint: Running) -> None:
    endpoint.management.put("/models/digits/traffic/pause").raise_for_status()

    assert eventually(lambda: bool(prometheus.query('ALERTS{alertname="CanaryWaits",alertstate="pending"}')))


def test_an_endpoint_that_is_gone_is_seen(prometheus: Prometheus, endpoint: Running) -> None:
    endpoint.process.kill()

    assert eventually(lambda: bool(prometheus.query('ALERTS{alertname="EndpointDown",alertstate="pending"}')))
