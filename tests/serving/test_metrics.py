import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment.serving.families import FAMILIES
from demlopment.serving.metrics import write
from demlopment.serving.tally import BOUNDS, Tally, total
from tests.serving.endpoint import Running, digit

SAMPLE = re.compile(r'(\w+)(?:\{((?:\w+="(?:[^"\\\n]|\\.)*",)+)\})? (\S+)')
NAMES = [family.name for family in FAMILIES if family.kind == "counter"]
amounts = st.floats(0, 1e6)
labels = st.text(max_size=8)


def value(text: str, start: str) -> float:
    (line,) = [line for line in text.splitlines() if line.startswith(start)]
    return float(line.split()[-1])


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(NAMES), labels, amounts), max_size=20))
def test_the_sum_of_many_tallies_is_one_tally_that_saw_everything(events: list[tuple[int, str, str, float]]) -> None:
    parts, whole = [Tally() for _ in range(4)], Tally()
    for part, name, label, amount in events:
        for tally in (parts[part], whole):
            tally.add(name, label, amount=amount)
            tally.observe("demlopment_prediction_seconds", label, "1.0", value=amount)

    together = total(Tally.from_json(part.as_json()) for part in parts)

    assert together.counters == pytest.approx(whole.counters)
    assert {series: each.counts for series, each in together.histograms.items()} == {
        series: each.counts for series, each in whole.histograms.items()
    }


@given(st.lists(st.tuples(st.sampled_from(NAMES), labels, labels, amounts), max_size=10))
def test_every_line_is_a_sample_in_the_java_clients_format(events: list[tuple[str, str, str, float]]) -> None:
    tally = Tally()
    for name, one, two, amount in events:
        tally.add(name, one, two, amount=amount)

    lines = write(tally, "a.host").split("\n")

    assert lines.pop() == ""
    for line in lines:
        assert line.startswith("# ") or SAMPLE.fullmatch(line), line
    assert sum(line.startswith("# TYPE ") for line in lines) == len(FAMILIES)


def test_a_histogram_is_cumulative_and_ends_in_the_count() -> None:
    tally = Tally()
    for seconds in (0.0001, 0.001, 0.0015, 0.3, 99.0):
        tally.observe("demlopment_prediction_seconds", "digits", "1.0", value=seconds)

    text = write(tally, "host", ["demlopment_prediction_seconds"])

    buckets = [int(float(line.split()[-1])) for line in text.splitlines() if "_bucket{" in line]
    assert buckets == [sum(each <= bound for each in (0.0001, 0.001, 0.0015, 0.3, 99.0)) for bound in BOUNDS] + [5]
    assert value(text, "demlopment_prediction_seconds_count") == 5
    assert value(text, "demlopment_prediction_seconds_sum") == pytest.approx(99.3026)


def test_the_latest_value_of_a_gauge_stands() -> None:
    old, new = Tally(gauges={("QueueTime", "Host"): (7.0, 100.0)}), Tally(gauges={("QueueTime", "Host"): (3.0, 200.0)})

    both = total([new, old])

    assert both.gauges[("QueueTime", "Host")] == (3.0, 200.0)


def test_the_processes_are_counted_together_under_torchserves_names(endpoint: Running) -> None:
    for path in ("/predictions/digits", "/predictions/digits/2.0", "/predictions/none"):
        endpoint.inference.post(path, content=digit(1))  # a series is there once it has been counted
    before = endpoint.metrics.get("/metrics").text

    with ThreadPoolExecutor(8) as pool:
        paths = ["/predictions/digits"] * 30 + ["/predictions/digits/2.0"] * 10 + ["/predictions/none"] * 5
        list(pool.map(lambda path: endpoint.inference.post(path, content=digit(1)), paths))
    answer = endpoint.metrics.get("/metrics")

    after = answer.text
    grown = {
        start: value(after, start) - value(before, start)
        for start in (
            'ts_inference_requests_total{model_name="digits",model_version="default"',
            'ts_inference_requests_total{model_name="digits",model_version="2.0"',
            'demlopment_predictions_total{model_name="digits",model_version="1.0",arm="direct"',
            'demlopment_predictions_total{model_name="digits",model_version="2.0",arm="direct"',
            'demlopment_prediction_seconds_count{model_name="digits",model_version="1.0"',
            "Requests4XX",
        )
    }
    assert list(grown.values()) == [30, 10, 30, 10, 30, 5]
    # The answer to the first scrape is counted after it was written.
    assert value(after, "Requests2XX") - value(before, "Requests2XX") == 41
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert re.search(r'Requests2XX\{Level="Host",Hostname="[^"]+",\} \d+\.\d+\n', after)
    assert re.search(
        r'ts_inference_requests_total\{model_name="digits",model_version="2\.0",hostname="[^"]+",\} \d+\.\d+\n', after
    )
    assert value(after, 'ts_inference_latency_microseconds{model_name="digits",model_version="default"') > 0
    assert 0 < value(after, "MemoryUtilization") < 100


def test_families_are_filtered_by_exact_name(endpoint: Running) -> None:
    chosen = endpoint.metrics.get("/metrics?name[]=Requests2XX&name[]=MemoryUsed&name[]=Requests").text

    assert re.findall(r"# TYPE (\w+)", chosen) == ["Requests2XX", "MemoryUsed"]


@pytest.mark.parametrize(
    ("path", "status"), [("/", 405), ("/nowhere", 404), ("/metrics/", 200), ("/metrics/more", 200), ("/api-description", 200)]
)
def test_the_metrics_port_has_one_path(endpoint: Running, path: str, status: int) -> None:
    assert endpoint.metrics.get(path).status_code == status


def test_strict_leaves_out_what_torchserve_does_not_have() -> None:
    tally = Tally()
    tally.add("demlopment_feedback_total")
    tally.add("Requests2XX", "Host")

    text = write(tally, "host", strict=True)

    assert "demlopment" in write(tally, "host")
    assert "demlopment" not in text
    assert value(text, "Requests2XX{") == 1


def test_explanations_are_counted_by_the_version_that_gave_them(endpoint: Running) -> None:
    start = 'demlopment_explanations_total{model_name="digits",model_version="2.0"'

    endpoint.inference.post("/explanations/digits/2.0", content=digit(1))
    before = value(endpoint.metrics.get("/metrics").text, start)
    endpoint.inference.post("/explanations/digits/2.0", content=digit(1))

    assert value(endpoint.metrics.get("/metrics").text, start) - before == 1
