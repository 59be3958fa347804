"""Rules and dashboards: every name in them is one that the endpoint has, and every alert rings when it should and only then."""

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from docutils.nodes import make_id

from demlopment.commands.monitor import objectives
from demlopment.monitoring.alerts import alerts
from demlopment.monitoring.dashboards import dashboard
from demlopment.monitoring.rules import rules
from demlopment.monitoring.signals import signals
from demlopment.serving.families import FAMILIES, OURS
from demlopment.serving.tally import BOUNDS
from demlopment.settings import Settings
from tests.prometheus import tool

OBJECTIVES = objectives(Settings())
ALERTS = {alert.name: alert for alert in alerts(OBJECTIVES)}
SIGNALS = [each for group in signals(OBJECTIVES).values() for each in group]
PANELS = [panel for panel in json.loads(dashboard(OBJECTIVES))["panels"] if panel["type"] != "row"]
TARGETS = [target["expr"] for panel in PANELS for target in panel["targets"]]
EXPRESSIONS = [*(each.expression for each in SIGNALS), *(each.expression for each in ALERTS.values()), *TARGETS]

LANGUAGE = {"sum", "increase", "rate", "histogram_quantile", "predict_linear", "absent", "time", "and", "or", "unless"}
GIVEN = {"up", "ALERTS"}  # by Prometheus itself
MATCHED = {"job", "instance", "alertname", "alertstate", "service"}  # labels that Prometheus and the rules give


def names_in(expression: str) -> dict[str, set[str]]:
    """Every series of an expression, with the labels that it is asked by."""
    bare = re.sub(r"(by|on|group_left) ?\([^)]*\)", "", re.sub(r"\[\w+\]", "", expression))
    found: dict[str, set[str]] = {}
    for name, labels in re.findall(r"([A-Za-z_:][\w:]*)(?:\{([^}]*)\})?", re.sub(r"\b\d[\w.]*", "", bare)):
        if name not in LANGUAGE:
            found.setdefault(name, set()).update(re.findall(r"(\w+)=~?\"", labels))
    return found


def labels_of(name: str) -> set[str] | None:
    """What the endpoint labels a series with; None where it has no such series."""
    for family in FAMILIES:
        if name == family.name and family.kind != "histogram":
            return set(family.labels)
        if family.kind == "histogram" and name in {f"{family.name}_{part}" for part in ("bucket", "count", "sum")}:
            return {*family.labels, "le"}
    return None


def test_the_names_of_an_expression_are_found() -> None:
    expression = 'a / b{x="1"} > 2.5 and on (job) sum by (c, d) (rate(e_f{y=~"2|3"}[5m])) or demlopment:g:share5m * 1e6'

    assert names_in(expression) == {"a": set(), "b": {"x"}, "e_f": {"y"}, "demlopment:g:share5m": set()}


def test_every_series_in_rules_and_dashboards_is_one_that_the_endpoint_has() -> None:
    recorded = {each.recorded for each in SIGNALS if each.recorded}
    used = [pair for expression in EXPRESSIONS for pair in names_in(expression).items() if pair[0] not in recorded | GIVEN]

    strangers = {name for name, labels in used if (known := labels_of(name)) is None or not labels <= known | MATCHED}

    assert len(used) > 50
    assert not strangers


def test_every_family_of_ours_is_watched() -> None:
    used = {name for expression in EXPRESSIONS for name in names_in(expression)}
    ours = {family.name for family in FAMILIES if family.name.startswith(OURS)}

    unseen = {name for name in ours if not any(each == name or each.startswith(f"{name}_") for each in used)}

    assert len(ours) > 20
    assert not unseen


def test_slow_is_a_bound_of_the_histogram() -> None:
    assert OBJECTIVES.slow_seconds in BOUNDS


def test_every_signal_is_drawn_once() -> None:
    assert len(TARGETS) == len(SIGNALS) + 1, "and what rings"
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in PANELS}) == len(PANELS)


def test_every_alert_says_what_it_means_how_often_it_rings_and_what_to_do() -> None:
    for rule in (rule for group in json.loads(rules(OBJECTIVES))["groups"] for rule in group["rules"] if "alert" in rule):
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert all(len(rule["annotations"][part]) > 10 for part in ("summary", "description"))
        assert rule["annotations"]["budget"].endswith((".", ","))


def test_every_alert_leads_to_a_section_of_the_runbook_and_every_section_is_of_an_alert() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "alerts.rst").read_text()
    titles = re.findall(r"^(\w+)\n~+$", page, re.MULTILINE)
    texts = dict(zip(titles, re.split(r"^\w+\n~+$", page, flags=re.MULTILINE)[1:], strict=True))

    led = {
        rule["alert"]: rule["annotations"]["runbook_url"]
        for group in json.loads(rules(replace(OBJECTIVES, runbooks="https://here/alerts.html")))["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }

    assert sorted(titles) == sorted(led)
    assert led == {name: f"https://here/alerts.html#{make_id(name)}" for name in titles}
    for text in texts.values():
        assert all(f"*{part}*" in text for part in ("Look.", "Do.", "Over")), text
    assert OBJECTIVES.runbooks == "docs/how-to/alerts.rst"


def test_another_objective_is_another_limit() -> None:
    other = {alert.name: alert for alert in alerts(replace(OBJECTIVES, availability=0.99, champion_days=1, job="other"))}

    assert "> 0.144" in other["ErrorsFast"].expression
    assert "> 86400" in other["ChampionOld"].expression
    assert 'job="other"' in other["EndpointDown"].expression


def test_the_rules_are_what_prometheus_calls_valid(tmp_path: Path) -> None:
    promtool = tool("promtool")
    (tmp_path / "rules.yml").write_text(rules(OBJECTIVES))

    done = subprocess.run([promtool, "check", "rules", tmp_path / "rules.yml"], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(ALERTS) + len([each for each in SIGNALS if each.recorded])} rules found" in done.stdout


@dataclass(frozen=True)
class Case:
    """What an alert is shown: series by their name and labels, in promtool's notation, a value a minute from time 0."""

    at: str  # when it is looked at
    rings: Sequence[Mapping[str, str]]
    silent: Sequence[Mapping[str, str]]
    every: str = "1m"


WHERE = 'job="demlopment",instance="one:8082"'
VERSION = 'model_name="digits",model_version="2.0"'


def named(name: str, labels: str = "") -> str:
    return f"{name}{{{WHERE}{',' if labels else ''}{labels}}}"


def answers(good: str, bad: str) -> dict[str, str]:
    name = "demlopment_inference_answers_total"
    return {named(name, 'status="2xx"'): good, named(name, 'status="5xx"'): bad}


def times(everything: str, fast: str) -> dict[str, str]:
    name, of = "demlopment_prediction_seconds", VERSION
    return {named(f"{name}_count", of): everything, named(f"{name}_bucket", f'{of},le="0.1"'): fast}


def one(name: str, values: str, labels: str = "") -> dict[str, str]:
    return {named(f"demlopment_{name}", labels): values}


def host(name: str, values: str) -> dict[str, str]:
    return {named(name, 'Level="Host"'): values}


def canary(state: str, values: str) -> dict[str, str]:
    return one("canary_state", values, f'{VERSION},state="{state}"')


def share(arm: str) -> dict[str, str]:
    return one("traffic_share", "1x500", f'{VERSION},arm="{arm}"')


def processes(running: int) -> dict[str, str]:
    return one("serving_processes", f"{running}x60") | one("serving_processes_wanted", "2x60")


def journal(values: str) -> dict[str, str]:
    return one("journal_bytes", values) | one("journal_limit_bytes", "100x500")


def queue(waiting: int) -> dict[str, str]:
    return one("handler_waiting", f"{waiting}x60", VERSION) | one("handler_room", f"{100 - waiting}x60", VERSION)


def connections(count: int) -> dict[str, str]:
    return one("connections", f"{count}x60", 'worker="9000"') | one("connections_limit", "1000x60")


def labels(newest: str, predictions: str = "0+5x90") -> dict[str, str]:
    return (
        one("label_timestamp_seconds", newest)
        | one("started_timestamp_seconds", "-900000x90")
        | one("predictions_total", predictions, f'{VERSION},arm="direct"')
    )


def monitor(what: str, values: str) -> dict[str, str]:
    return one(f"monitor_{what}", values, f'{VERSION},monitor="drift"')


def looked(at: str, predictions: str = "0+5x90") -> dict[str, str]:
    return one("monitor_timestamp_seconds", at, VERSION) | one("predictions_total", predictions, f'{VERSION},arm="direct"')


def made() -> dict[str, str]:
    return one("archive_timestamp_seconds", "1x60", VERSION)


INFO = one("info", "1x500", 'version="1"')
BUSY = 'worker="9000"'
CASES = {
    "EndpointDown": Case("5m", [{named("up"): "0x10"}, {}], [{named("up"): "1x10"}]),
    "ErrorsFast": Case(
        "7h",
        # 2 % in the last of seven hours, or 0.7 % in all of them
        [answers("0+98x420", "0x360 2+2x59"), answers("0+993x420", "0+7x420")],
        # less, what is over, and too few to say anything
        [answers("0+995x420", "0+5x420"), answers("0+98x420", "0x340 2+2x59 120x20"), answers("0+1x420", "0x400 1 2 3 4x17")],
    ),
    "ErrorsSteadily": Case("75h", [answers("0+9988x450", "0+12x450")], [answers("0+9992x450", "0+8x450")], every="10m"),
    "SlowFast": Case(
        "7h",
        [times("0+100x420", "0+100x360 36080+80x59"), times("0+100x420", "0+93x420")],
        [times("0+100x420", "0+95x420"), times("0+100x420", "0+100x340 34080+80x59 38900+100x20")],
    ),
    "SlowSteadily": Case("75h", [times("0+1000x450", "0+988x450")], [times("0+1000x450", "0+992x450")], every="10m"),
    "JournalRefuses": Case("5m", [one("journal_refused_total", "0 0 0 1x10")], [one("journal_refused_total", "7x20")]),
    "JournalMissesAnswers": Case(
        "5m", [one("journal_unrecorded_total", "0 0 0 1x10")], [one("journal_unrecorded_total", "7x20")]
    ),
    "JournalFills": Case("7h", [journal("81x500"), journal("31+0.1x500")], [journal("79x500"), journal("1+0.05x500")]),
    "LakeBehind": Case("30m", [one("journal_lag_seconds", "90000x60")], [one("journal_lag_seconds", "86000x60")]),
    "ProcessesMissing": Case("5m", [processes(1)], [processes(2)]),
    "ProcessesDie": Case("10m", [one("process_restarts_total", "0 0 1 2 3x20")], [one("process_restarts_total", "0 0 1 2x20")]),
    "WorkersDie": Case(
        "10m", [one("worker_restarts_total", "0 0 1 2 3x20", VERSION)], [one("worker_restarts_total", "0 0 1 2x20", VERSION)]
    ),
    "ProcessesBusy": Case(
        "30m",
        [one("serving_cpu_seconds_total", "0+57x60", BUSY)],
        [one("serving_cpu_seconds_total", "0+51x60", BUSY)],
    ),
    "ConnectionsFull": Case("10m", [connections(950)], [connections(890)]),
    "HandlerQueueFills": Case("10m", [queue(90)], [queue(79)]),
    "DiskFills": Case(
        "7h",
        [
            host("DiskUtilization", "91x500") | INFO,
            host("DiskUtilization", "61x500") | host("DiskAvailable", "90-0.1x500") | INFO,
        ],
        # a TorchServe beside it is none of ours, and an empty disk may be filled for a while
        [
            host("DiskUtilization", "91x500"),
            host("DiskUtilization", "89x500") | INFO,
            host("DiskUtilization", "50x500") | host("DiskAvailable", "90-0.1x500") | INFO,
        ],
    ),
    "DiskFull": Case("5m", [host("DiskAvailable", "0.4x60") | INFO], [host("DiskAvailable", "0.6x60") | INFO]),
    "MemoryShort": Case("20m", [host("MemoryUtilization", "96x60") | INFO], [host("MemoryUtilization", "94x60") | INFO]),
    "VersionNotServed": Case("5m", [one("versions_failed", "1x60")], [one("versions_failed", "0x60")]),
    "CanaryRolledBack": Case(
        "5m", [canary("rolled back", "0 0 1x10")], [canary("rolled back", "0x60") | canary("ramping", "1x60")]
    ),
    "CanaryWaits": Case(
        "80m",
        [canary("halted", "1x90"), canary("paused", "1x90")],
        [canary("halted", "0x90") | canary("ramping", "1x90"), canary("halted", "1x30 0x60")],
    ),
    "ShadowLost": Case(
        "40m",
        [
            one("shadows_dropped_total", "0+0.4x60", VERSION) | one("shadows_failed_total", "0x60", VERSION),
            one("shadows_dropped_total", "0x60", VERSION) | one("shadows_failed_total", "0+0.4x60", VERSION),
        ],
        [one("shadows_dropped_total", "0+0.3x60", VERSION) | one("shadows_failed_total", "1x60", VERSION)],
    ),
    "MeasurementsDropped": Case(
        "10m",
        [one("handler_metrics_dropped_total", "0 0 1x60", VERSION)],
        [one("handler_metrics_dropped_total", "4x60", VERSION)],
    ),
    "ChampionOld": Case(
        "80m",
        [one("archive_timestamp_seconds", "-2600000x90", VERSION) | share("direct")],
        [
            one("archive_timestamp_seconds", "-2580000x90", VERSION) | share("control"),
            one("archive_timestamp_seconds", "-2600000x90", VERSION) | share("treatment"),
        ],
    ),
    "LabelsOld": Case(
        "80m",
        [labels("-610000x90"), labels("_x90")],
        [labels("-590000x90"), labels("-610000x90", predictions="9x90")],
    ),
    "MonitorAlarms": Case("5m", [monitor("alarm", "0 0 1x10")], [monitor("alarm", "0x60") | monitor("broken", "1x60")]),
    "MonitorBroken": Case("5m", [monitor("broken", "1x10")], [monitor("broken", "0x60") | monitor("alarm", "1x60")]),
    "MonitorsOld": Case(
        "80m",
        [looked("-180000x90")],
        [looked("-160000x90"), looked("-180000x90", predictions="9x90")],
    ),
    "MonitorsNever": Case(
        "55h",
        [made() | looked("_x60")],
        # looked at after a day, asked nothing, and one that nobody can look at: it is no archive of ours
        [made() | looked("_x24 90000x40"), made() | looked("_x60", predictions="9x60"), looked("_x60")],
        every="1h",
    ),
}


def test_every_alert_has_its_cases() -> None:
    assert set(CASES) == set(ALERTS)
    assert all(case.rings and case.silent for case in CASES.values())


@pytest.mark.parametrize("name", CASES)
def test_an_alert_rings_when_it_should_and_is_silent_otherwise(name: str, tmp_path: Path) -> None:
    promtool, case = tool("promtool"), CASES[name]
    (tmp_path / "rules.yml").write_text(rules(OBJECTIVES))
    tests = [
        *(_looked_at(name, case, series, [{"labels": "{}", "value": 1}]) for series in case.rings),
        *(_looked_at(name, case, series, []) for series in case.silent),
    ]
    # Unless it is told an order, promtool draws one: alerts before signals see those of the last step, which can be too old.
    order = [group["name"] for group in json.loads(rules(OBJECTIVES))["groups"]]
    whole = {"rule_files": ["rules.yml"], "evaluation_interval": case.every, "group_eval_order": order, "tests": tests}
    (tmp_path / "test.yml").write_text(json.dumps(whole))

    done = subprocess.run([promtool, "test", "rules", tmp_path / "test.yml"], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def _looked_at(name: str, case: Case, series: Mapping[str, str], expected: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    expression = f'count(ALERTS{{alertname="{name}",alertstate="firing",service="demlopment"}})'
    return {
        "interval": case.every,
        "input_series": [{"series": each, "values": values} for each, values in series.items()],
        "promql_expr_test": [{"expr": expression, "eval_time": case.at, "exp_samples": list(expected)}],
    }
