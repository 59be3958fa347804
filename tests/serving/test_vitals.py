"""What the endpoint says of itself when it is scraped, beside what it counts."""

import os
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from demlopment.records import Canary, CanaryState, Guardrails, TrafficPlan, Treatment
from demlopment.serving import segments, vitals
from demlopment.serving.journal import Journal
from demlopment.serving.layout import FIRST_LINE
from demlopment.serving.state import Model, State, Version
from demlopment.serving.tally import Tally
from demlopment.serving.vitals import ANSWERS, UNLABELLED
from tests.serving.endpoint import Load, Running, digit, eventually, registered, running
from tests.serving.test_journal import prediction
from tests.serving.test_metrics import value

DAY = 86400.0
PLAN = TrafficPlan("digits", "1.0", (Treatment("2.0", 0.2), Treatment("3.0", 0.3)), salt="s")


def scraped(endpoint: Running, start: str) -> float:
    return value(endpoint.metrics.get("/metrics").text, start)


def shares(plan: TrafficPlan | None, at: float = 0.0) -> dict[tuple[str, ...], float]:
    version = Version("digits.mar", "digits.mar", 1, 1)
    tally = Tally()
    vitals.plans(State(1, {"digits": Model("1.0", {"1.0": version}, plan)}), tally, at)
    return {series[1:]: seen[0] for series, seen in tally.gauges.items() if series[0] == "demlopment_traffic_share"}


def journalled(folder: Path, at: float = 0.0) -> dict[str, float]:
    tally = Tally()
    vitals.journal(folder, tally, at)
    return {series[0].removeprefix("demlopment_journal_"): seen[0] for series, seen in tally.gauges.items()}


def closed(folder: Path, name: str, written: float) -> Path:
    """A complete file of the journal with one prediction, last written at a time."""
    before = set(folder.glob("*"))
    journal = Journal(folder, name=name)
    journal.record([prediction(name)])
    journal.close()
    (path,) = set(folder.glob("*")) - before
    os.utime(path, (written, written))
    return path


def test_without_a_plan_the_default_version_answers_directly() -> None:
    assert shares(None) == {("digits", "1.0", "direct"): 1.0}


def test_a_plan_shares_out_every_request() -> None:
    found = shares(PLAN)

    assert found == pytest.approx(
        {("digits", "1.0", "control"): 0.5, ("digits", "2.0", "treatment"): 0.2, ("digits", "3.0", "treatment"): 0.3}
    )


@pytest.mark.parametrize("at", [9.0, 20.0])
def test_outside_its_time_the_control_of_a_plan_answers_directly(at: float) -> None:
    assert shares(replace(PLAN, starts=10.0, ends=20.0), at) == {("digits", "1.0", "direct"): 1.0}


def test_a_canary_is_in_exactly_one_state() -> None:
    canary = Canary(steps=(0.1,), dwell=1.0, requests=1, guardrails=Guardrails(), state="halted")
    plan = replace(PLAN, treatments=(Treatment("2.0", 0.0),), canary=canary)
    tally = Tally()

    vitals.plans(State(1, {"digits": Model("1.0", {}, plan)}), tally, 0.0)

    found = {series[1:]: seen[0] for series, seen in tally.gauges.items() if series[0] == "demlopment_canary_state"}
    assert found == {("digits", "2.0", state): float(state == "halted") for state in get_args(CanaryState)}


def test_what_a_shadow_may_lose_is_counted_from_nothing() -> None:
    tally = Tally()

    vitals.plans(State(1, {"digits": Model("1.0", {}, replace(PLAN, shadows=("4.0",)))}), tally, 0.0)

    assert tally.counters == {
        ("demlopment_shadows_dropped_total", "digits", "4.0"): 0.0,
        ("demlopment_shadows_failed_total", "digits", "4.0"): 0.0,
    }


def test_the_lake_is_as_far_behind_as_the_oldest_closed_file_that_it_lacks(tmp_path: Path) -> None:
    oldest, other = closed(tmp_path, "1", 1000.0), closed(tmp_path, "2", 3000.0)
    open_one = Journal(tmp_path, name="3")
    open_one.record([prediction("3")])

    both = journalled(tmp_path, at=5000.0)
    segments.mark_stored(oldest, stored=True)
    one = journalled(tmp_path, at=5000.0)
    segments.mark_stored(other, stored=True)
    none = journalled(tmp_path, at=5000.0)

    assert (both["lag_seconds"], one["lag_seconds"], none["lag_seconds"]) == (4000.0, 2000.0, 0.0)
    assert both["waiting_bytes"] == oldest.stat().st_size + other.stat().st_size
    assert (one["waiting_bytes"], none["waiting_bytes"]) == (other.stat().st_size, 0.0)
    assert both["bytes"] == sum(path.stat().st_size for path in tmp_path.glob("*"))
    open_one.close()


def test_nothing_waits_in_a_file_that_a_killed_process_left_empty(tmp_path: Path) -> None:
    (tmp_path / f"1-1{segments.ENDING}").write_bytes(FIRST_LINE)

    assert journalled(tmp_path, at=1e10) == {"bytes": len(FIRST_LINE), "waiting_bytes": 0.0, "lag_seconds": 0.0}


def test_a_journal_that_is_not_there_yet_has_no_lag(tmp_path: Path) -> None:
    assert journalled(tmp_path / "none") == {"bytes": 0.0, "waiting_bytes": 0.0, "lag_seconds": 0.0}


def test_counters_begin_at_nothing_so_that_the_first_of_a_kind_can_raise_an_alarm(tmp_path: Path) -> None:
    registered(tmp_path, "1.0")

    with running(tmp_path) as endpoint:
        text = endpoint.metrics.get("/metrics").text

    assert UNLABELLED
    assert {value(text, f"{name} ") for name in UNLABELLED} == {0.0}
    assert {value(text, f'demlopment_inference_answers_total{{status="{status}"') for status in ANSWERS} == {0.0}


def test_what_the_inference_port_answers_is_told_apart_from_the_other_ports(endpoint: Running) -> None:
    starts = [f'demlopment_inference_answers_total{{status="{status}"' for status in ("2xx", "4xx", "5xx")]
    before = endpoint.metrics.get("/metrics").text

    endpoint.inference.post("/predictions/digits", content=digit(1))
    endpoint.inference.post("/predictions/none", content=digit(1))
    endpoint.management.get("/models/none")
    after = endpoint.metrics.get("/metrics").text

    assert [value(after, start) - value(before, start) for start in starts] == [1.0, 1.0, 0.0]


def test_processes_tell_how_busy_they_are(endpoint: Running) -> None:
    with Load(endpoint, clients=4) as load:
        load.wait_for(200)
        assert eventually(lambda: sum(gauges(endpoint, "demlopment_requests_in_hand").values()) > 0)
        assert sum(gauges(endpoint, "demlopment_connections").values()) >= 4
    text = endpoint.metrics.get("/metrics").text

    assert value(text, "demlopment_serving_processes ") == value(text, "demlopment_serving_processes_wanted ") == 2
    # Of processes that have been retired, what they counted stays.
    assert set(gauges(endpoint, "demlopment_serving_cpu_seconds_total")) >= {"9000", "9001"}
    assert min(gauges(endpoint, "demlopment_serving_cpu_seconds_total").values()) > 0
    assert min(gauges(endpoint, "demlopment_serving_memory_bytes").values()) > 1e6
    assert value(text, "demlopment_connections_limit") == 1024
    assert value(text, "demlopment_versions_failed") == 0


def gauges(endpoint: Running, family: str) -> dict[str, float]:
    lines = endpoint.metrics.get(f"/metrics?name[]={family}").text.splitlines()
    return {line.split('"')[1]: float(line.split()[-1]) for line in lines if not line.startswith("#")}


def test_model_and_labels_tell_their_age(tmp_path: Path) -> None:
    home = registered(tmp_path, "1.0")
    os.utime(home.models / "digits-1.0.mar", (DAY, DAY))

    with running(tmp_path) as endpoint:
        before = endpoint.metrics.get("/metrics").text
        answer = endpoint.inference.post("/predictions/digits", content=digit(1))
        feedback = {"request_id": answer.headers["x-request-id"], "label": "1"}
        assert endpoint.inference.post("/feedback", json=feedback).status_code == 200
        after = endpoint.metrics.get("/metrics").text

    began = value(before, "demlopment_started_timestamp_seconds")
    assert value(before, 'demlopment_archive_timestamp_seconds{model_name="digits",model_version="1.0"') == DAY
    assert not [line for line in before.splitlines() if line.startswith("demlopment_label_timestamp_seconds")]
    assert value(after, "demlopment_label_timestamp_seconds") > began


def test_a_version_that_is_gone_leaves_no_series(tmp_path: Path) -> None:
    registered(tmp_path, "1.0", "2.0")

    with running(tmp_path) as endpoint:
        before = endpoint.metrics.get("/metrics?name[]=demlopment_archive_timestamp_seconds").text
        assert endpoint.management.delete("/models/digits/2.0").status_code == 200
        after = endpoint.metrics.get("/metrics?name[]=demlopment_archive_timestamp_seconds").text

    assert 'model_version="2.0"' in before
    assert 'model_version="2.0"' not in after


def test_a_version_that_cannot_be_served_is_counted(tmp_path: Path) -> None:
    home = registered(tmp_path, "1.0", "2.0")
    (home.models / "digits-2.0.mar").unlink()

    with running(tmp_path) as endpoint:
        assert scraped(endpoint, "demlopment_versions_failed ") == 1
