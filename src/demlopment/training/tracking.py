"""What was tried, what came out, and which version is the champion. Knows nothing of networks, gates or endpoints."""

import logging
import os
import sqlite3
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from demlopment import home
from demlopment.errors import ArchiveError, HomeError, NotReadyError
from demlopment.records import Epoch

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

Alias = Literal["champion", "challenger"]

EXPERIMENT = "demlopment"
VERSION_TAG = "demlopment.version"  # MLflow numbers versions 1, 2, 3 by itself; ours ("2.0") is this tag
COMMIT_TAG, EDITED_TAG = "mlflow.source.git.commit", "demlopment.edited"  # the first is what MLflow's pages show
SQLITE = "sqlite:///"
ENVIRONMENT = {  # setdefault, so that whoever wants MLflow's reports, chatter or patience can have them
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",  # the value "1" does not count
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # what goes wrong is raised as well, and said by us
    # MLflow's own patience with a server that does not answer is 120 s a request and seven requests.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
}


class Tracker(Protocol):
    """Where runs are recorded and versions get their names."""

    def record(
        self,
        title: str,
        parameters: Mapping[str, Any],
        curve: Sequence[Epoch],
        metrics: Mapping[str, float],
        archive: Path | None,
        *,
        commit: str,
        edited: bool | None,
    ) -> str:
        """Keep one finished fit, with a copy of its archive if it has one; the answer is the run's identifier.

        `commit` is that of the code that fitted it, `edited` whether the code was changed since; None outside a checkout.
        """
        ...

    def attach(self, run: str, files: Sequence[Path]) -> None:
        """Keep copies of more files beside the archive of a run."""
        ...

    def register(self, name: str, version: str, run: str) -> None:
        """Make the run's archive a version of the model `name`; a version that is registered again is the newer run."""
        ...

    def alias(self, name: str, alias: Alias, version: str) -> None:
        """Call that version the champion or the challenger; whichever was called so before no longer is.

        Raises ArchiveError if the version was never registered.
        """
        ...

    def champion(self, name: str) -> str | None:
        """The version that is called champion; None before there is one."""
        ...

    def run(self, name: str, version: str) -> str | None:
        """The newest run that was registered as that version; None if none was."""
        ...


class MlflowTracker:
    """MLflow's tracking and registry: a SQLite file by default, or a server or database by its address."""

    def __init__(self, tracking_uri: str, artifacts: Path) -> None:
        """`artifacts` is where copies of archives go, unless a server at `tracking_uri` keeps them itself.

        The first use of a new SQLite file makes MLflow's tables, about 3 s.
        Raises HomeError if the file is not a database or cannot be made, NotReadyError if the store does not answer.
        """
        self.uri = tracking_uri
        if tracking_uri.startswith(SQLITE):
            _make_or_check(Path(tracking_uri.removeprefix(SQLITE)))
        with _quiet():
            # Imported here because it takes seconds, and because its telemetry must be off before it is.
            from mlflow.tracking import MlflowClient
        with self._explained(), _quiet():
            self.client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
            self.experiment = _experiment(self.client, None if tracking_uri.startswith("http") else artifacts)

    def record(
        self,
        title: str,
        parameters: Mapping[str, Any],
        curve: Sequence[Epoch],
        metrics: Mapping[str, float],
        archive: Path | None,
        *,
        commit: str,
        edited: bool | None,
    ) -> str:
        from mlflow.entities import Metric, Param

        now_ms = int(time.time() * 1000)
        points = [(name, value, i) for i, epoch in enumerate(curve, 1) for name, value in asdict(epoch).items()]
        points += [(name, value, 0) for name, value in metrics.items()]
        with self._explained():
            code = {COMMIT_TAG: commit, EDITED_TAG: "unknown" if edited is None else str(edited).lower()}
            run = str(self.client.create_run(self.experiment, run_name=title, tags=code).info.run_id)
            self.client.log_batch(
                run,
                metrics=[Metric(name, float(value), now_ms, step) for name, value, step in points],
                params=[Param(name, str(value)) for name, value in parameters.items()],
            )
            if archive is not None:
                self.client.log_artifact(run, str(archive))
            self.client.set_terminated(run)
        return run

    def attach(self, run: str, files: Sequence[Path]) -> None:
        with self._explained():
            for file in files:
                self.client.log_artifact(run, str(file))

    def register(self, name: str, version: str, run: str) -> None:
        with self._explained():
            if not self.client.search_registered_models(f"name = '{name}'"):
                self.client.create_registered_model(name)
            source = self.client.get_run(run).info.artifact_uri
            self.client.create_model_version(name, source=source, run_id=run, tags={VERSION_TAG: version})

    def alias(self, name: str, alias: Alias, version: str) -> None:
        with self._explained():
            newest = self._newest(name, version)
            if newest is None:
                raise ArchiveError(f"{name} {version} is not registered in {self.uri}.", "Register it before it gets a name.")
            self.client.set_registered_model_alias(name, alias, newest.version)

    def champion(self, name: str) -> str | None:
        with self._explained():
            # Asking for an alias that does not exist is an error in MLflow, so look before asking.
            for model in self.client.search_registered_models(f"name = '{name}'"):
                if "champion" in model.aliases:
                    return str(self.client.get_model_version_by_alias(name, "champion").tags[VERSION_TAG])
        return None

    def run(self, name: str, version: str) -> str | None:
        with self._explained():
            newest = self._newest(name, version)
            return None if newest is None else str(newest.run_id)

    def _newest(self, name: str, version: str) -> "ModelVersion | None":
        # A quotation mark would end the text in MLflow's query, and no model of ours has one.
        if "'" in name + version:
            return None
        found = self.client.search_model_versions(f"name = '{name}' and tags.`{VERSION_TAG}` = '{version}'")
        return max(found, key=lambda entry: int(entry.version), default=None)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        with answering(f"The tracking store {self.uri}"):
            yield


@contextmanager
def _quiet() -> Iterator[None]:
    """Import and start MLflow without reports to its makers, log lines, or the warnings that it draws from SQLAlchemy."""
    for variable, value in ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    # A cursor that Ctrl-C tears is reported with a traceback, although the connection is thrown away as it should be.
    logging.getLogger("sqlalchemy").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        # MLflow 3.17 loads its tables in a way that SQLAlchemy 2.1 deprecates; nobody who uses us can change that.
        warnings.filterwarnings("ignore", message=r"(?s).*noload", category=DeprecationWarning)
        yield


@contextmanager
def answering(store: str) -> Iterator[None]:
    """Turn what a database says of why it did nothing into a NotReadyError about `store`; others pass."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, ModuleNotFoundError) as error:  # the last is a database's driver
        # SQLAlchemy surrounds the reason with advice, the statement and all its values, each on lines of its own.
        lines = str(error).splitlines() or [type(error).__name__]
        reason = next((line for line in lines if "Error" in line), lines[0]).rstrip(".")
        raise NotReadyError(
            f"{store} did not do what it was asked: {reason}.",
            "See that it can be reached, is whole, and that its disk has room, then run this again.",
        ) from error


def _experiment(client: "MlflowClient", artifacts: Path | None) -> str:
    """The experiment whose artifacts go to `artifacts`; a home that was moved or copied begins one for its new place."""
    location = None if artifacts is None else artifacts.resolve().as_uri()
    first = client.get_experiment_by_name(EXPERIMENT)
    if first is None:
        return str(client.create_experiment(EXPERIMENT, artifact_location=location))
    if location in (None, first.artifact_location):
        return str(first.experiment_id)
    name = f"{EXPERIMENT} in {location}"
    found = client.get_experiment_by_name(name)
    return str(found.experiment_id if found else client.create_experiment(name, artifact_location=location))


def _make_or_check(database: Path) -> None:
    """Leave a whole database at that path.

    MLflow's migrations are not one transaction: a process that is killed among them would leave tables that no later
    run can finish. So they run beside it, and the finished file takes its place at once.
    """
    if database.exists() and database.stat().st_size > 0:
        _refuse_unreadable(database)
        return
    with _quiet():
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with home.explained(database), answering(f"The tracking store {database}"):
        database.parent.mkdir(parents=True, exist_ok=True)
        partial = database.with_name(f"{database.name}{home.ending()}")
        try:
            # The location is that of MLflow's default experiment, which stays empty.
            store = SqlAlchemyStore(f"{SQLITE}{partial}", str(database.parent))  # type: ignore[no-untyped-call]  # MLflow's
            store.engine.dispose()
            partial.replace(database)
        finally:
            partial.unlink(missing_ok=True)
            # SQLite's journal of a database that was never finished outlives it when the process is killed.
            for journal in database.parent.glob(f"{database.name}.*{home.PARTIAL}-journal"):
                if not journal.with_name(journal.name.removesuffix("-journal")).exists():
                    journal.unlink(missing_ok=True)


def _refuse_unreadable(database: Path) -> None:
    # MLflow itself would try such a file again for a minute and a half before it says so.
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            connection.execute("PRAGMA schema_version")
    except sqlite3.DatabaseError as error:
        raise HomeError(
            f"{database} is not a tracking database ({error}).", "Move it away: the next run makes a new one."
        ) from error
