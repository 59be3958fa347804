"""What the endpoint is watched by: one list, from which rules, alerts and dashboards are made. Knows no file and no Prometheus.

Expressions are PromQL over the families of the metrics port; each keeps the label `job`, which names one endpoint.
"""

from collections.abc import Mapping, Sequence

from demlopment.monitoring.watched import Objectives, Signal

WINDOWS = ("5m", "30m", "1h", "6h", "3d")  # over which budgets are watched, see budgets.py
VERSION = "{{model_name}} {{model_version}}"
LOOKED = 2 * 86400  # s: a timer looks hourly or daily, and has then missed one at least
OURS = "* on (job, instance) group_left () demlopment_info"  # of the host's figures only those beside an endpoint


def signals(objectives: Objectives) -> Mapping[str, Sequence[Signal]]:
    """All signals, by what they are about."""
    return {
        "Errors": [*_errors(objectives), *_losses()],
        "Latency": _latency(objectives),
        "Traffic": _traffic(),
        "Saturation": [*_saturation(), *_host()],
        "Journal": _journal(objectives),
        "Age": _age(objectives),
        "Monitors": _monitors(),
    }


def error_share(window: str) -> str:
    """The recorded share of requests that failed within the window."""
    return f"demlopment:errors:share{window}"


def slow_share(window: str) -> str:
    """The recorded share of answers that were slow within the window."""
    return f"demlopment:slow:share{window}"


def failed(window: str) -> str:
    """How many requests failed within it."""
    return f'sum by (job) (increase(demlopment_inference_answers_total{{status="5xx"}}[{window}]))'


def slow(window: str, objectives: Objectives) -> str:
    """How many answers were slow within it."""
    fast = f'demlopment_prediction_seconds_bucket{{le="{objectives.slow_seconds}"}}'
    return f"({_answers(window)} - sum by (job, model_name) (increase({fast}[{window}])))"


def _answers(window: str) -> str:
    return f"sum by (job, model_name) (increase(demlopment_prediction_seconds_count[{window}]))"


def _errors(objectives: Objectives) -> list[Signal]:
    return [
        Signal(
            "Requests that failed",
            "share",
            f"{failed(window)} / sum by (job) (increase(demlopment_inference_answers_total[{window}]))",
            f"{{{{job}}}} over {window}",
            error_share(window),
            1 - objectives.availability,
        )
        for window in WINDOWS
    ]


def _losses() -> list[Signal]:
    shadows = "sum by (job, model_name, model_version) (rate(demlopment_shadows_{}_total[5m]))"
    return [
        _rate("Answers refused, because the journal took no record", "demlopment_journal_refused_total", "job"),
        _rate("Answers without a record", "demlopment_journal_unrecorded_total", "job"),
        Signal("Versions that cannot be served", "number", "demlopment_versions_failed", "{{instance}}", limit=0),
        Signal("Pictures on which a shadow failed", "per second", shadows.format("failed"), VERSION),
        Signal("Pictures that a shadow was not asked about", "per second", shadows.format("dropped"), VERSION),
        _rate(
            "Measurements of a handler that were dropped",
            "demlopment_handler_metrics_dropped_total",
            "job, model_name, model_version",
            VERSION,
        ),
    ]


def _latency(objectives: Objectives) -> list[Signal]:
    shares = [
        Signal(
            f"Answers that took longer than {objectives.slow_seconds:g} s",
            "share",
            f"{slow(window, objectives)} / {_answers(window)}",
            f"{{{{model_name}}}} over {window}",
            slow_share(window),
            1 - objectives.fast,
        )
        for window in WINDOWS
    ]
    buckets = "sum by (job, model_name, model_version, le) (rate(demlopment_prediction_seconds_bucket[5m]))"
    quantiles = [
        Signal(
            "Time to an answer",
            "seconds",
            f"histogram_quantile({quantile}, {buckets})",
            f"{VERSION} {name}",
            f"demlopment:seconds:{name}5m",
        )
        for name, quantile in (("median", 0.5), ("p99", 0.99))
    ]
    waiting = "sum by (job, model_name) (rate({}[5m]))"
    queue, asked = waiting.format("ts_queue_latency_microseconds"), waiting.format("ts_inference_requests_total")
    return [*quantiles, *shares, Signal("Mean wait for a batch", "seconds", f"{queue} / {asked} / 1e6", "{{model_name}}")]


def _traffic() -> list[Signal]:
    day = "sum by (job) (increase({}[1d]))"
    labelled = f"{day.format('demlopment_feedback_total')} / {day.format('demlopment_predictions_total')}"
    return [
        Signal(
            "Predictions",
            "per second",
            "sum by (job, model_name, model_version, arm) (rate(demlopment_predictions_total[5m]))",
            f"{VERSION} {{{{arm}}}}",
            "demlopment:predictions:rate5m",
        ),
        _rate("Answers by status", "demlopment_inference_answers_total", "job, status", "{{status}}"),
        Signal("Share by the plan", "share", "demlopment_traffic_share", f"{VERSION} {{{{arm}}}}"),
        Signal("State of the canary", "number", "demlopment_canary_state == 1", f"{VERSION} {{{{state}}}}"),
        _rate("Labels that came back", "demlopment_feedback_total", "job"),
        Signal("Labels for each prediction, over a day", "share", labelled, "{{job}}"),
        _rate("Pictures that were explained", "demlopment_explanations_total", "job, model_name, model_version", VERSION),
    ]


def _saturation() -> list[Signal]:
    waiting = "demlopment_handler_waiting"
    return [
        Signal(
            "Processor time of each serving process",
            "share",
            "rate(demlopment_serving_cpu_seconds_total[5m])",
            "{{instance}} {{worker}}",
            "demlopment:busy:share5m",
            0.9,
        ),
        Signal("Requests in hand", "number", "demlopment_requests_in_hand", "{{instance}} {{worker}}"),
        Signal(
            "Connections of those that a process keeps",
            "share",
            "demlopment_connections / on (job, instance) group_left () demlopment_connections_limit",
            "{{instance}} {{worker}}",
            limit=0.9,
        ),
        Signal("Queue of a handler", "share", f"{waiting} / ({waiting} + demlopment_handler_room)", VERSION, limit=0.8),
        Signal("Serving processes", "number", "demlopment_serving_processes", "{{instance}} running"),
        Signal("Serving processes", "number", "demlopment_serving_processes_wanted", "{{instance}} wanted"),
        Signal(
            "Processes that died, over 15 minutes",
            "number",
            "increase(demlopment_process_restarts_total[15m])",
            "{{instance}}",
            limit=2.5,  # an increase is extrapolated: three deaths read a little less or more
        ),
        Signal(
            "Workers of handlers that died, over 15 minutes",
            "number",
            "increase(demlopment_worker_restarts_total[15m])",
            VERSION,
            limit=2.5,
        ),
        Signal("Memory of each serving process", "bytes", "demlopment_serving_memory_bytes", "{{instance}} {{worker}}"),
    ]


def _host() -> list[Signal]:
    def used(title: str, family: str, limit: float) -> Signal:
        return Signal(title, "share", f"{family} {OURS} / 100", "{{instance}}", limit=limit)

    return [
        used("Processor of the machine", "CPUUtilization", 0.95),
        used("Memory of the machine", "MemoryUtilization", 0.95),
        used("Disk of the home", "DiskUtilization", 0.9),
    ]


def _journal(objectives: Objectives) -> list[Signal]:
    return [
        Signal(
            "Journal of its limit",
            "share",
            "demlopment_journal_bytes / demlopment_journal_limit_bytes",
            "{{instance}}",
            "demlopment:journal:share",
            0.8,
        ),
        Signal("Closed files that are not in the lake", "bytes", "demlopment_journal_waiting_bytes", "{{instance}}"),
        Signal(
            "How far the lake is behind",
            "seconds",
            "demlopment_journal_lag_seconds",
            "{{instance}}",
            limit=objectives.journal_hours * 3600,
        ),
    ]


def _age(objectives: Objectives) -> list[Signal]:
    champion = 'demlopment_traffic_share{arm=~"control|direct"}'
    newest = "demlopment_label_timestamp_seconds or demlopment_started_timestamp_seconds"
    return [
        Signal(
            "Age of the champion",
            "seconds",
            f"time() - demlopment_archive_timestamp_seconds and on (job, instance, model_name, model_version) {champion}",
            VERSION,
            "demlopment:champion:age",
            objectives.champion_days * 86400,
        ),
        Signal(
            "Age of the newest label",
            "seconds",
            f"time() - ({newest})",
            "{{instance}}",
            "demlopment:label:age",
            objectives.label_days * 86400,
        ),
        Signal("Time since the start", "seconds", "time() - demlopment_started_timestamp_seconds", "{{instance}}"),
    ]


def _monitors() -> list[Signal]:
    of = f"{VERSION} {{{{monitor}}}}"
    return [
        Signal("Monitors that alarm", "number", "demlopment_monitor_alarm", of, limit=0),
        Signal("Monitors that are broken", "number", "demlopment_monitor_broken", of, limit=0),
        Signal("What monitors say", "number", "demlopment_monitor_value", of),
        Signal(
            "Time since the monitors looked",
            "seconds",
            "time() - demlopment_monitor_timestamp_seconds",
            VERSION,
            limit=LOOKED,
        ),
    ]


def _rate(title: str, counter: str, by: str, legend: str = "{{job}}") -> Signal:
    return Signal(title, "per second", f"sum by ({by}) (rate({counter}[5m]))", legend)
