"""Every family of metrics that the endpoint has: name, kind, text and labels. A table; knows neither counts nor format."""

from dataclasses import dataclass
from typing import Literal

HOST = ("Level", "Hostname")
DEVICE = ("Level", "DeviceId", "Hostname")
VERSION = ("model_name", "model_version", "hostname")
MODEL = ("ModelName", "Level", "Hostname")
OURS = "demlopment_"  # what the names of our own families begin with


@dataclass(frozen=True)
class Family:
    """One metric. A last label that names the host is not counted under: the writer adds it."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    text: str
    labels: tuple[str, ...]


def _torchserve(kind: Literal["counter", "gauge"], unit: str, labels: tuple[str, ...], *names: str) -> list[Family]:
    return [Family(name, kind, f"Torchserve prometheus {kind} metric with unit: {unit}", labels) for name in names]


FAMILIES: tuple[Family, ...] = (
    *_torchserve("counter", "Count", HOST, "Requests2XX", "Requests4XX", "Requests5XX"),
    *_torchserve("counter", "Count", VERSION, "ts_inference_requests_total"),
    *_torchserve("counter", "Microseconds", VERSION, "ts_inference_latency_microseconds", "ts_queue_latency_microseconds"),
    *_torchserve("gauge", "Milliseconds", HOST, "QueueTime", "WorkerThreadTime"),
    *_torchserve("gauge", "Milliseconds", ("WorkerName", *HOST), "WorkerLoadTime"),
    *_torchserve("gauge", "Percent", HOST, "CPUUtilization"),
    *_torchserve("gauge", "Megabytes", HOST, "MemoryUsed", "MemoryAvailable"),
    *_torchserve("gauge", "Percent", HOST, "MemoryUtilization"),
    *_torchserve("gauge", "Gigabytes", HOST, "DiskUsage"),
    *_torchserve("gauge", "Percent", HOST, "DiskUtilization"),
    *_torchserve("gauge", "Gigabytes", HOST, "DiskAvailable"),
    *_torchserve("gauge", "Percent", DEVICE, "GPUMemoryUtilization"),
    *_torchserve("gauge", "Megabytes", DEVICE, "GPUMemoryUsed"),
    *_torchserve("gauge", "Percent", DEVICE, "GPUUtilization"),
    *_torchserve("gauge", "ms", MODEL, "HandlerTime", "PredictionTime"),
    Family(
        "demlopment_predictions_total",
        "counter",
        "Acknowledged predictions by the version that answered and its arm",
        ("model_name", "model_version", "arm"),
    ),
    Family(
        "demlopment_prediction_seconds",
        "histogram",
        "Seconds from a whole request to its journalled answer",
        ("model_name", "model_version"),
    ),
    Family(
        "demlopment_explanations_total",
        "counter",
        "Pictures whose answer was explained by a network",
        ("model_name", "model_version"),
    ),
    Family(
        "demlopment_shadows_dropped_total",
        "counter",
        "Inputs that a shadow was not asked about: too many waited, the journal could not be written, or it was no picture",
        ("model_name", "model_version"),
    ),
    Family(
        "demlopment_shadows_failed_total",
        "counter",
        "Pictures on which a shadow failed",
        ("model_name", "model_version"),
    ),
    Family("demlopment_feedback_total", "counter", "Labels that came back", ()),
    Family("demlopment_journal_refused_total", "counter", "Answers refused because the journal could not be written", ()),
    Family(
        "demlopment_journal_unrecorded_total",
        "counter",
        "Answers given without a record, because the journal could not be written",
        (),
    ),
    Family("demlopment_process_restarts_total", "counter", "Serving processes that died and were replaced", ()),
    Family(
        "demlopment_worker_restarts_total",
        "counter",
        "Workers of Python handlers that died and were replaced",
        ("model_name", "model_version"),
    ),
    Family(
        "demlopment_handler_metrics_dropped_total",
        "counter",
        "Measurements of a handler under a name that is taken, or beyond the limit of series",
        ("model_name", "model_version"),
    ),
    Family(
        "demlopment_inference_answers_total",
        "counter",
        "Answers of the inference port by the first digit of their status, whatever is not 2xx or 4xx as 5xx",
        ("status",),
    ),
    Family("demlopment_info", "gauge", "The release that answers; always 1", ("version",)),
    Family("demlopment_started_timestamp_seconds", "gauge", "When the endpoint began", ()),
    Family("demlopment_serving_processes", "gauge", "Serving processes that run", ()),
    Family("demlopment_serving_processes_wanted", "gauge", "Serving processes that should run", ()),
    Family(
        "demlopment_serving_cpu_seconds_total",
        "counter",
        "Processor time of a serving process, which has one core: as many seconds a second as it is full",
        ("worker",),
    ),
    Family("demlopment_serving_memory_bytes", "gauge", "Resident memory of a serving process", ("worker",)),
    Family("demlopment_connections", "gauge", "Connections to a serving process that are open", ("worker",)),
    Family("demlopment_connections_limit", "gauge", "Connections that one serving process keeps open at most", ()),
    Family(
        "demlopment_requests_in_hand",
        "gauge",
        "Connections to a serving process on which a request is being received or answered",
        ("worker",),
    ),
    Family("demlopment_handler_waiting", "gauge", "Requests that wait for the workers of a Python handler", VERSION[:2]),
    Family("demlopment_handler_room", "gauge", "Requests that may still come to wait for them", VERSION[:2]),
    Family("demlopment_versions_failed", "gauge", "Registered versions that should be served and cannot be", ()),
    Family(
        "demlopment_archive_timestamp_seconds",
        "gauge",
        "When the archive of a served version was written, which is when it was fitted or fetched",
        VERSION[:2],
    ),
    Family(
        "demlopment_traffic_share",
        "gauge",
        "Share of the requests without a version that it answers, as the plan says; direct where there is none",
        (*VERSION[:2], "arm"),
    ),
    Family(
        "demlopment_canary_state", "gauge", "1 for the state that a canary is in, 0 for the others", (*VERSION[:2], "state")
    ),
    Family(
        "demlopment_monitor_alarm",
        "gauge",
        "1 where a monitor of a version's production alarmed at the last look, else 0",
        (*VERSION[:2], "monitor"),
    ),
    Family(
        "demlopment_monitor_broken",
        "gauge",
        "1 where a monitor could not be looked at, else 0; the monitor file is what the last look wrote",
        (*VERSION[:2], "monitor"),
    ),
    Family(
        "demlopment_monitor_value",
        "gauge",
        "What a monitor said at the last look: accuracies and shares 0 to 1, drift as its smallest p-value",
        (*VERSION[:2], "monitor"),
    ),
    Family("demlopment_monitor_timestamp_seconds", "gauge", "When the monitors of a version last looked", VERSION[:2]),
    Family("demlopment_label_timestamp_seconds", "gauge", "When the newest label came back, since the endpoint began", ()),
    Family("demlopment_journal_bytes", "gauge", "Bytes of all files of the journal", ()),
    Family("demlopment_journal_limit_bytes", "gauge", "Bytes that the journal may have", ()),
    Family("demlopment_journal_waiting_bytes", "gauge", "Bytes of closed files of the journal that are not in the lake", ()),
    Family(
        "demlopment_journal_lag_seconds",
        "gauge",
        "Since the last record of the oldest closed file of the journal that is not in the lake; 0 where there is none",
        (),
    ),
)
