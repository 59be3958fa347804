"""The loop's own steps as Dagster's assets, checks, schedule and sensor. Decides nothing, and nothing else knows Dagster.

Each does what the command of the same purpose does, on the home of the settings as they are when it runs. `demlopment schedule`
brings Dagster up with this module; whatever else loads a module of definitions does as well.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import dagster as dg
import numpy as np

from demlopment import settings
from demlopment.data import Answers, Lake
from demlopment.data.intake import CONTRADICTED
from demlopment.errors import DemlopmentError, HomeError
from demlopment.home import Home
from demlopment.lifecycle.asking import ask
from demlopment.lifecycle.compact import compact
from demlopment.lifecycle.condition import gather
from demlopment.lifecycle.history import History
from demlopment.lifecycle.learn import learn
from demlopment.lifecycle.outlook import RECENT_SECONDS
from demlopment.lifecycle.past import past
from demlopment.lifecycle.provenance import commit
from demlopment.lifecycle.returns import production
from demlopment.lifecycle.triggers import decide
from demlopment.lifecycle.workshop import MODEL
from demlopment.lifecycle.worth import Prices
from demlopment.records import Verdict
from demlopment.settings import Settings

RETRIES, PAUSE_SECONDS = 3, 60  # where somebody else holds the home: a person's command does not for long
LOOK_SECONDS = 300  # from one look at what asks for a retrain to the next: each reads the requests of two weeks
HOUR_SECONDS = 3600
SENSOR = "dagster/sensor_name"  # a tag that Dagster gives the runs of a sensor


class Log:
    """A narrator that writes into the log of a run."""

    def __init__(self, context: dg.AssetExecutionContext) -> None:
        self._log = context.log

    def begin(self, title: str) -> None:
        """As Narrator."""
        self._log.info(title)

    def progress(self, done: int, total: int) -> None:
        """As Narrator."""
        self._log.debug(f"{done} of {total}")

    def end(self, title: str, sentence: str, seconds: float) -> None:
        """As Narrator."""
        self._log.info(f"{title}: {sentence} ({seconds:.1f} s)")


@dg.asset(group_name="data")
def journal() -> dg.MaterializeResult:
    """What the endpoint answered: the journal's complete files, moved into the lake (`data compact`)."""
    rules, home, _ = opened()
    with patient():
        done = compact(home, Answers(home.lake), rules.endpoint)
    return dg.MaterializeResult(metadata=asdict(done))


@dg.asset(group_name="data", deps=[journal], check_specs=[dg.AssetCheckSpec("undisputed", asset="feedback")])
def feedback() -> dg.MaterializeResult:
    """Pictures whose labels came back, as examples (`data ingest feedback`)."""
    _, home, lake = opened()
    with patient(), home.locked("turn"):
        added = lake.add(production(home, set(lake.asked.all()["request_id"])), commit=commit())
    disputed = sum(count for reason, count in added.quarantined.items() if reason.startswith(CONTRADICTED))
    check = _check("undisputed", "Labels that others contradict wait for `demlopment data review`.", passed=not disputed)
    counts = {"rows": added.rows, "added": added.added, "known": added.known, "in quarantine": added.rejected}
    return dg.MaterializeResult(metadata={**counts, "disputed": disputed}, check_results=[check])


@dg.asset(group_name="models", deps=[feedback], check_specs=[dg.AssetCheckSpec("gate", asset="candidate")])
def candidate(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """The recipe fitted to everything in the lake and judged (`train`); one that the gate lets through becomes challenger."""
    rules, home, _ = opened()
    _begun(context, rules, home)
    with patient():
        verdict = learn(home, rules, Log(context))
    check = _check("gate", verdict.reason, passed=verdict.decision == "promote")
    told = {"subject": verdict.subject, "against": verdict.against, "decision": verdict.decision, "reason": verdict.reason}
    return dg.MaterializeResult(metadata=told, check_results=[check])


@dg.asset(group_name="data", deps=[journal])
def questions(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Requests that people are asked to label (`data ask`); they wait for `data review`."""
    rules, home, lake = opened()
    _begun(context, rules, home)
    now, share, rng = time.time(), rules.data.asked_by_chance, np.random.default_rng()
    with patient(), home.locked("turn"):
        done = ask(home, lake, MODEL, rules.retraining.asked_labels, share, since=now - RECENT_SECONDS, now=now, rng=rng)
    return dg.MaterializeResult(metadata={**done.why, "without a label": done.open})


housekeeping = dg.define_asset_job("housekeeping", selection=["journal", "feedback"])
retrain = dg.define_asset_job("retrain", selection=["journal", "feedback", "candidate"])
asking = dg.define_asset_job("asking", selection=["journal", "questions"])
hourly = dg.ScheduleDefinition(job=housekeeping, cron_schedule="0 * * * *", default_status=dg.DefaultScheduleStatus.RUNNING)


@dg.sensor(jobs=[retrain, asking], minimum_interval_seconds=LOOK_SECONDS, default_status=dg.DefaultSensorStatus.RUNNING)
def due(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Ask what asks for a retrain (`lifecycle.triggers.decide`), and begin what it decides."""
    rules, home, _ = opened()
    try:
        verdict = looked(rules, home)
    except DemlopmentError as error:  # nobody is champion yet, say: no fault of this look
        return dg.SkipReason(str(error))
    jobs = {"retrain": retrain.name, "ask for labels": asking.name}
    if verdict.decision not in jobs:
        return dg.SkipReason(f"{verdict.decision.capitalize()}: {verdict.reason}")
    # One that failed before it began is asked for again, and none twice in an hour.
    key = f"{verdict.decision}, {verdict.subject}, {int(time.time() // HOUR_SECONDS)}"
    return dg.RunRequest(run_key=key, job_name=jobs[verdict.decision], tags={"because": verdict.reason})


defs = dg.Definitions(
    assets=[journal, feedback, candidate, questions],
    jobs=[housekeeping, retrain, asking],
    schedules=[hourly],
    sensors=[due],
)


def opened() -> tuple[Settings, Home, Lake]:
    """The settings of this process, their home, and its lake."""
    rules = settings.load()
    home = Home(rules.home, rules.data.lake)
    home.open()
    return rules, home, Lake.of(home, rules.data)


@contextmanager
def patient() -> Iterator[None]:
    """Have Dagster try again a little later where the home is held by somebody else."""
    try:
        yield
    except HomeError as held:
        raise dg.RetryRequested(RETRIES, PAUSE_SECONDS) from held


def looked(rules: Settings, home: Home) -> Verdict:
    """What is decided now; nothing is written."""
    now = time.time()
    return decide(gather(home, rules, now), past(History(home.history).entries()), rules.retraining, Prices.of(rules))


def _begun(context: dg.AssetExecutionContext, rules: Settings, home: Home) -> None:
    """Write down what the sensor decided, as it stands now: the next look knows of it, whatever comes of this run."""
    if SENSOR in context.run.tags:
        History(home.history).record(looked(rules, home), time.time())


def _check(name: str, said: str, *, passed: bool) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(check_name=name, passed=passed, description=said, severity=dg.AssetCheckSeverity.WARN)
