"""What lessons tell of a benchmark is what it measured last: whoever measures anew sees here what has to be said anew."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


def result(name: str) -> Any:
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())["figures"]


def median(of: Any) -> float:
    return float(of["median"])


def of_the_endpoint() -> dict[str, list[str]]:
    found = result("endpoint")
    ours, theirs = found["loads"]["deMLopment"], found["loads"]["TorchServe 0.12.0"]
    at, spent = {n: found["ratios"]["TorchServe 0.12.0"][n]["requests_per_second"] for n in ("1", "32")}, found["spent_us"]
    rates = {n: f"{median(ours[n]['requests_per_second']):,.0f}" for n in ours}
    other = {n: f"{median(theirs[n]['requests_per_second']):,.0f}" for n in theirs}
    memory = f"{median(found['resident_mb']):.0f} MB"
    assert ours["256"]["errors"] == 0
    return {
        "endpoint": [
            f"answers {rates['32']} requests a second at 32 connections where TorchServe answers {other['32']}",
            f"a lone client {at['1']:.1f} times as often",
            f"takes {spent['endpoint']:.0f} µs of processor there; HTTP alone would take {spent['http']:.0f}",
            f"decoding and the network alone {spent['limit']:.0f}",
        ],
        "serving_manage_monitor": [
            f"every network: {memory} each",
            f"first answer {median(found['ready_seconds']['deMLopment']):.2f} s",
            f"registering to ready {1000 * median(found['register_to_ready_seconds']):.0f} ms",
            f"{at['32']:.1f} times the requests at 32 connections, 99th percentile {median(ours['32']['p99_ms']):.1f}",
            f"instead of {median(theirs['32']['p99_ms']):.1f} ms",
        ],
        "migration_from_torchserve": [
            f"{rates['32']} requests a second against {other['32']} at 32 connections",
            f"{rates['1']} against {other['1']} at one",
            f"And {memory} instead",
        ],
        "scaling_out": [
            f"answered {rates['32']} requests a second at 32 connections and 256 connections without an error",
            f"costs {spent['endpoint']:.0f} µs of processor",
            f"{memory} each here",
        ],
    }


def of_handlers_and_soak() -> dict[str, list[str]]:
    ratios = {name: each["requests_per_second"] for name, each in result("handlers")["ratios"].items()}
    least = ratios.pop("batched, 10 B, 8 connections")
    soak = result("soak")
    largest = [process["greatest_mb"] for name, process in soak["processes"].items() if name != "supervisor"]
    assert soak["flat"]
    return {
        "migration_from_torchserve": [
            f"answers {1 / least:.1f} times as many small requests of eight clients",
            f"{min(ratios.values()):.2f} to {max(ratios.values()):.1f} times as many",
            f"Python handler: {ratios['batched, 10 B, 1 connection']:.1f} times",
        ],
        "serving_manage_monitor": [
            f"{soak['requests'] / 1e6:.1f} million mixed requests left the serving processes at {max(largest):.0f} MB",
        ],
    }


def of_the_lake() -> dict[str, list[str]]:
    found = result("data")
    small, larger, largest = found["curve"]
    growth, load = found["growth"][0], found["load"]
    rows = [
        f"{each['rows']:,} {median(each['cpu_seconds']):.1f} s {median(each['ingest_peak_mb']):.0f} MB"
        for each in (small, larger, largest)
    ]
    return {
        "data_management": [
            f"snapshot take {median(small['seconds']):.1f} s",
            f"{larger['rows']:,} take {median(larger['seconds']):.0f} s and {growth['ingest_peak_mb']:.2f} times the memory",
            f"peak is {median(small['ingest_peak_mb']):.0f} MB",
            f"is {median(load['contestants']['ours']['seconds']):.3f} s for 60,000 rows",
            f"{load['dataloader_over_ours']['ours']:.0f} times as fast",
            f"the first time {median(load['contestants']['ours, the first time']['seconds']):.2f} s",
        ],
        "scaling_out": rows,
    }


def of_experiments() -> dict[str, list[str]]:
    found = result("verdicts")
    tests = [each for kind in ("arms", "means", "shadows") for each in found[kind]]
    naive = [each["naive_false_verdicts"] for each in found["arms"] if "naive_false_verdicts" in each]
    false = [each["false_verdicts"] for each in found["arms"] if "false_verdicts" in each]
    held = [each["coverage_at_every_look"] for each in tests]
    power = [each["power"] for each in found["planned_arms"] + found["planned_shadows"] if each["planned_power"] == 0.8]
    canary = {name: each["met"]["median"] for name, each in result("canary")["faults"].items() if "met" in each}
    shadow = result("shadow")["with_over_without"]["32"]["requests_per_second"]
    return {
        "experiments": [
            f"in {100 * min(naive):.0f} to {100 * max(naive):.0f} of 100 tests.",
            f"Ours: {100 * min(false):.1f} to {100 * max(false):.1f}",
            f"had {100 * min(power):.1f} to {100 * max(power):.1f} % in four thousand simulations",
            f"at every look in {100 * min(held):.1f} to {100 * max(held):.1f} of 100",
            f"after {canary['slow']} of its requests",
            f"under wrong names after {canary['swapped']}, one that raises after {canary['failing']}",
            f"answered {100 * (1 - shadow):.0f} % of the endpoint's requests at 32 connections",
        ],
        "testing_and_deployment": [
            f"out after {canary['failing']} to {result('canary')['faults']['crashing']['met']['most']} requests",
        ],
    }


def of_monitors() -> dict[str, list[str]]:
    look, beside = result("look"), result("beside")["with_over_without"]["32"]["requests_per_second"]
    saved = [each["saved"]["median"] for each in result("labelling")["changes"] if each["kind"] != "quality"]
    alarms = {name: each["per_1000"] for name, each in result("drift")["false_alarms"]["monitors"].items()}
    return {
        "monitoring_and_retraining": [
            f"{alarms['all monitors']:.2f} in a thousand windows",
            f"saves {100 * min(saved):.0f} to {100 * max(saved):.0f} % of the labels",
            f"A million answers take {look['seconds']:.1f} s and {look['largest_resident_mb']:.0f} MB",
            f"{100 * beside:.0f} % of the requests",
        ],
    }


def of_fits() -> dict[str, list[str]]:
    accuracy, held_out = result("accuracy")["accuracy"], result("held_out")
    once = median(result("precision")["engines"]["float32"]["ms_of_1"])
    interval = f"interval {100 * accuracy['low']:.3f} to {100 * accuracy['high']:.3f} %"
    return {
        "training_and_selection": [
            f"{1000 * once:.0f} µs for one picture",
            f"{100 * accuracy['mean']:.3f} % of 55,000",
            interval,
            f"{100 * held_out['accuracy']:.2f} % ({100 * held_out['low']:.2f} to {100 * held_out['high']:.2f} %",
        ],
        "deMLopment": [f"{100 * accuracy['mean']:.3f} %", interval],
    }


@pytest.mark.parametrize("figures", [of_the_endpoint, of_handlers_and_soak, of_the_lake, of_experiments, of_monitors, of_fits])
def test_lessons_tell_what_was_measured(figures: Callable[[], dict[str, list[str]]]) -> None:
    measured = figures()
    said = {post: " ".join((ROOT / "docs" / "posts" / f"{post}.rst").read_text().split()) for post in measured}

    lacking = [(post, phrase) for post, phrases in measured.items() for phrase in phrases if phrase not in said[post]]

    assert measured
    assert not lacking
