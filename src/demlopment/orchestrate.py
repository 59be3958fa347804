"""The loop's own steps as Dagster's assets, checks, schedule and sensor. Decides nothing, and nothing else knows Dagster.

Each does what the command of the same purpose does, on the home of the settings as they are when it runs. `demlopment schedule`
brings Dagster up with this module; whatever else loads a module of definitions does as well.
"""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict

import dagster as dg
import numpy as np

from demlopment import settings
from demlopment.data import Answers, Lake
from demlopment.data.intake import CONTRADICTED
from demlopment.errors import DemlopmentError, HomeError, NotReadyError
from demlopment.home import Home
from demlopment.lifecycle.asking import ask
from demlopment.lifecycle.compact import compact
from demlopment.lifecycle.outlook import RECENT_SECONDS
from demlopment.lifecycle.provenance import commit
from demlopment.lifecycle.returns import production
from demlopment.lifecycle.turn import begin, look, standing, turn
from demlopment.lifecycle.workshop import MODEL
from demlopment.settings import Settings

RETRIES, PAUSE_SECONDS = 3, 60  # where somebody else holds the home: a person's command does not for long
LOOK_SECONDS = 300  # from one look at what asks for a retrain to the next: each reads the requests of two weeks
BECAUSE = "because"  # a tag that says why a run was begun
JOBS: Mapping[str, str] = {"retrain": "retraining", "roll back": "retraining", "ask for labels": "asking"}  # by decision
RUN = dg.DagsterRunStatus
UNFINISHED = [RUN.QUEUED, RUN.NOT_STARTED, RUN.STARTING, RUN.STARTED]


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


@dg.asset(group_name="models", deps=[journal], check_specs=[dg.AssetCheckSpec("quiet", asset="monitors")])
def monitors(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """All monitors look at the champion (`monitor look`), as a process of its own: it gives way to whoever answers."""
    _, home, _ = opened()
    command = [sys.executable, "-m", "demlopment", "--home", str(home.root), "monitor", "look"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = (done.stdout if done.returncode == 0 else done.stderr).splitlines() or [f"It ended with status {done.returncode}."]
    for line in lines:
        context.log.info(line)
    loud = [line for line in lines if line.startswith(("ALARM", "BROKEN"))]
    said = "No monitor alarms, and all could be looked at."
    check = _check("quiet", said, passed=done.returncode == 0 and not loud)
    return dg.MaterializeResult(metadata={"said": lines[0], "alarms": len(loud)}, check_results=[check])


@dg.asset(name="turn", group_name="models", deps=[journal], check_specs=[dg.AssetCheckSpec("alive", asset="turn")])
def turned(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """The turn that is running, or one that is begun if something asks for it, as far as it can go now (`retrain`)."""
    rules, home, _ = opened()
    with patient():
        found = turn(home, rules, Log(context))
    check = _check("alive", "A turn is given up when a step of it fails again and again.", passed=not found.failed)
    return dg.MaterializeResult(metadata={"next": found.step or "none", "said": found.sentence}, check_results=[check])


@dg.asset(group_name="data", deps=[journal])
def questions() -> dg.MaterializeResult:
    """Requests that people are asked to label (`data ask`); they wait for `data review`."""
    rules, home, lake = opened()
    now, share, rng = time.time(), rules.data.asked_by_chance, np.random.default_rng()
    with patient(), home.locked("turn"):
        if standing(home).step is None:
            begin(home, rules, now)  # writes down that labels are asked for, if that is what is decided
        done = ask(home, lake, MODEL, rules.retraining.asked_labels, share, since=now - RECENT_SECONDS, now=now, rng=rng)
    return dg.MaterializeResult(metadata={**done.why, "without a label": done.open})


housekeeping = dg.define_asset_job("housekeeping", selection=["journal", "feedback", "monitors"])
retraining = dg.define_asset_job("retraining", selection=["journal", "turn"])
asking = dg.define_asset_job("asking", selection=["journal", "questions"])
hourly = dg.ScheduleDefinition(job=housekeeping, cron_schedule="0 * * * *", default_status=dg.DefaultScheduleStatus.RUNNING)


@dg.sensor(jobs=[retraining, asking], minimum_interval_seconds=LOOK_SECONDS, default_status=dg.DefaultSensorStatus.RUNNING)
def due(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Have a turn that is running go on, or begin what is decided (`lifecycle.triggers.decide`); one run at a time."""
    rules, home, _ = opened()
    going = dg.RunsFilter(statuses=UNFINISHED)
    if any(run.job_name in (retraining.name, asking.name) for run in context.instance.get_runs(going)):
        return dg.SkipReason("A run is going on.")
    where = standing(home)
    if where.step is not None:
        return dg.RunRequest(job_name=retraining.name, tags={BECAUSE: where.sentence})
    try:
        verdict = look(home, rules, time.time())
    except DemlopmentError as error:  # nobody is champion yet, say: no fault of this look
        return dg.SkipReason(str(error))
    job = JOBS.get(verdict.decision)
    if job is None:
        return dg.SkipReason(f"{verdict.decision.capitalize()}: {verdict.reason}")
    return dg.RunRequest(job_name=job, tags={BECAUSE: verdict.reason})


defs = dg.Definitions(
    assets=[journal, feedback, monitors, turned, questions],
    jobs=[housekeeping, retraining, asking],
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
    """Have Dagster try again a little later where somebody else holds the home, or the endpoint does not run."""
    try:
        yield
    except (HomeError, NotReadyError) as held:
        raise dg.RetryRequested(RETRIES, PAUSE_SECONDS) from held


def _check(name: str, said: str, *, passed: bool) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(check_name=name, passed=passed, description=said, severity=dg.AssetCheckSeverity.WARN)
