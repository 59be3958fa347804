"""Python handlers of a foreign archive, ours against real TorchServe: what a request costs beside the handler's own work.

The handler does nothing, so that everything around it is measured: HTTP, queue, batches, and the way of a body to a worker
and back. Both servers run all the time and are loaded in turns, in another order each round, so that Java is warm and whatever
else the machine does hits both. On a machine that is not idle, believe the ratios and not the rates.
"""

import contextlib
import json
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.contestants import PROCESSES, MissingError, Ports, answering, ask, endpoint, real_torchserve
from benchmarks.load import Load, Target, put_on, wrk
from benchmarks.result import RESULTS, summary, write

OURS, PEER = "deMLopment", "TorchServe 0.12.0"
BODIES = (10, 100_000, 1_000_000)  # bytes
CONNECTIONS = (1, 8)
# Name, size and delay in ms of a version's batches. With a delay, TorchServe lets a lone request wait all of it.
SETTINGS = (("batched", 8, 5), ("single", 1, 0))
WARM_SECONDS = 2.0  # of each load before the first round: Java compiles, allocators grow

HANDLER = """
class Nothing:
    def initialize(self, context):
        pass

    def handle(self, data, context):
        return ["ok"] * len(data)
"""

Case = tuple[str, int, int]  # setting, bytes, connections
CASES: list[Case] = [(setting, size, each) for setting, *_ in SETTINGS for size in BODIES for each in CONNECTIONS]


def run(rounds: int, seconds: float) -> Path:
    """Measure and write handlers.json and handlers.md. Raises SystemExit without wrk."""
    wrk()
    skipped: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as stack:
        folder = Path(place)
        servers = {OURS: stack.enter_context(_ours(folder / "ours"))}
        try:
            servers[PEER] = stack.enter_context(_peer(folder / "peer"))
        except MissingError as missing:
            skipped[PEER] = str(missing)
            print(f"{PEER} is skipped: {missing}", flush=True)
        bodies = {size: folder / str(size) for size in BODIES}
        for size, body in bodies.items():
            body.write_bytes(b"x" * size)
        names = list(servers)
        loads: dict[str, dict[Case, list[Load]]] = {name: {case: [] for case in CASES} for name in names}
        for number in range(rounds + 1):
            for case in CASES:
                for name in names[number % len(names) :] + names[: number % len(names)]:
                    load = put_on(_target(servers[name], case, bodies), case[2], seconds if number else WARM_SECONDS)
                    if number:
                        loads[name][case].append(load)
                        _tell(f"round {number} of {rounds}: {name}, {_words(case)}", load)
    figures = _figures(loads) | {"skipped": skipped, "rounds": rounds, "seconds": seconds}
    path = write("handlers", figures)
    (RESULTS / "handlers.md").write_text(_table(figures))
    return path


@contextlib.contextmanager
def _ours(folder: Path) -> Iterator[Ports]:
    """With journal and metrics, as always."""
    _write_archive(folder / "home/models")
    with endpoint(folder / "home", folder, ALLOW_HANDLERS="true") as ports:
        _register(ports)
        yield ports


@contextlib.contextmanager
def _peer(folder: Path) -> Iterator[Ports]:
    _write_archive(folder / "store")
    with real_torchserve(folder / "store", folder) as ports:
        answering(f"{ports.management}/models", ports.process, folder)
        _register(ports)
        yield ports


def _write_archive(store: Path) -> None:
    store.mkdir(parents=True)
    model = {"modelName": "nothing", "modelVersion": "1.0", "handler": "handler.py"}
    with zipfile.ZipFile(store / "nothing.mar", "w") as archive:
        archive.writestr("handler.py", HANDLER)
        archive.writestr(
            "MAR-INF/MANIFEST.json", json.dumps({"runtime": "python", "model": model, "archiverVersion": "0.12.0"})
        )


def _register(ports: Ports) -> None:
    for name, size, delay in SETTINGS:
        query = f"url=nothing.mar&model_name={name}&batch_size={size}&max_batch_delay={delay}"
        ask(f"{ports.management}/models?{query}&initial_workers={PROCESSES}&synchronous=true")


def _target(ports: Ports, case: Case, bodies: dict[int, Path]) -> Target:
    setting, size, _ = case
    return Target(f"{ports.inference}/predictions/{setting}", bodies[size], "application/octet-stream")


def _figures(loads: dict[str, dict[Case, list[Load]]]) -> dict[str, Any]:
    together = {name: {_words(case): _together(those[case]) for case in CASES} for name, those in loads.items()}
    ratios = {
        words: {
            key: together[OURS][words][key]["median"] / together[PEER][words][key]["median"]
            for key in ("requests_per_second", "p99_ms")
        }
        for words in (together[OURS] if PEER in together else ())
    }
    batches = {name: {"batch_size": size, "max_batch_delay_ms": delay} for name, size, delay in SETTINGS}
    return {"loads": together, "ratios": ratios, "settings": batches, "workers": PROCESSES}


def _together(rounds: list[Load]) -> dict[str, Any]:
    values = [asdict(load) for load in rounds]
    figures: dict[str, Any] = {name: summary([each[name] for each in values]) for name in values[0] if name != "errors"}
    return figures | {"errors": sum(load.errors for load in rounds)}


def _table(figures: dict[str, Any]) -> str:
    lines = [
        "| load | server | requests/s | p50 ms | p99 ms | errors | ours has |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for words in map(_words, CASES):
        for name, loads in figures["loads"].items():
            load = loads[words]
            rate, p50, p99 = (load[key]["median"] for key in ("requests_per_second", "p50_ms", "p99_ms"))
            ratio = figures["ratios"].get(words) if name != OURS else None
            has = f"{ratio['requests_per_second']:.1f} x, p99 {ratio['p99_ms']:.2f} x" if ratio else ""
            lines.append(f"| {words} | {name} | {rate:,.0f} | {p50:.2f} | {p99:.1f} | {load['errors']} | {has} |")
    if figures["ratios"]:
        middle = median(each["requests_per_second"] for each in figures["ratios"].values())
        lines += ["", f"In the middle of these loads, ours answers {middle:.1f} times as many requests a second."]
    batches = "; ".join(f"{name}: batches of {size} within {delay} ms" for name, size, delay in SETTINGS)
    lines += ["", f"Settings: {figures['workers']} workers a version; {batches}."]
    lines += [f"Not measured: {name}. {reason}" for name, reason in figures["skipped"].items()]
    return "\n".join(lines) + "\n"


def _words(case: Case) -> str:
    setting, size, connections = case
    body = f"{size // 1_000_000} MB" if size >= 1_000_000 else f"{size // 1000} kB" if size >= 1000 else f"{size} B"
    return f"{setting}, {body}, {connections} connection{'s' if connections > 1 else ''}"


def _tell(what: str, load: Load) -> None:
    errors = f", {load.errors} errors" if load.errors else ""
    print(f"{what}: {load.requests_per_second:,.0f} requests/s, p99 {load.p99_ms:.1f} ms{errors}", flush=True)
