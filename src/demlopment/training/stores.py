"""The file or database where studies are, opened, and what can be wrong with it in words. Knows nothing of trials."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage
from optuna.storages.journal import JournalStorage
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from demlopment.errors import HomeError, NotReadyError
from demlopment.home import Home
from demlopment.training.logbook import Logbook
from demlopment.training.tracking import answering


@contextmanager
def stored(home: Home, address: str | None, name: str) -> Iterator[BaseStorage]:
    """Open where the study called `name` is: its journal in the home, or the database at `address`.

    Raises HomeError if the file is damaged, NotReadyError if the database does not answer, here or in the block.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # what happens is said by us
    if address is None:
        with readable(home, name):
            store = JournalStorage(Logbook(path_of(home, name)))
        yield store
        return
    with answering(f"The store of studies {_shown(address)}"):
        try:
            database = _database(address)
            try:
                yield database
            finally:
                database.engine.dispose()
        except StorageInternalError as error:
            raise (error.__cause__ or error) from error


def _database(address: str) -> RDBStorage:
    try:
        return RDBStorage(address)
    except ImportError as error:
        raise NotReadyError(
            f"The driver of the store of studies {_shown(address)} is not installed ({error.__cause__ or error}).",
            "Install demlopment[scale], which has that of PostgreSQL.",
        ) from error
    except RuntimeError as error:  # its tables are older or newer than this Optuna
        raise NotReadyError(
            f"The store of studies {_shown(address)} is another release's: {str(error).partition('.')[0]}.",
            "Run `optuna storage upgrade`, or name another database in training.studies.",
        ) from error


@contextmanager
def alone(store: BaseStorage, name: str) -> Iterator[None]:
    """Hold the study in its database too, where that can be: other homes do not see the locks of this one."""
    if not isinstance(store, RDBStorage) or store.engine.dialect.name != "postgresql":
        yield
        return
    number = int.from_bytes(hashlib.blake2b(f"demlopment search {name}".encode(), digest_size=8).digest(), signed=True)
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not connection.execute(text("SELECT pg_try_advisory_lock(:number)"), {"number": number}).scalar():
            raise HomeError(
                f"Another search holds the study {name} in this database.",
                "Wait until it ends or stop it, or search under another name.",
            )
        try:
            yield
        finally:
            with suppress(SQLAlchemyError):  # with a connection that broke it goes by itself, a moment later
                connection.execute(text("SELECT pg_advisory_unlock(:number)"), {"number": number})


@contextmanager
def readable(home: Home, name: str) -> Iterator[None]:
    """Turn what Optuna says of lines that it cannot read into a HomeError."""
    try:
        yield
    except (ValueError, KeyError, AssertionError, TypeError) as error:  # what Optuna makes of lines that are no journal
        raise HomeError(
            f"{path_of(home, name)} is damaged: {type(error).__name__} {error}.",
            "Restore it from a copy, or search under another name.",
        ) from error


def _shown(address: str) -> str:
    return make_url(address).render_as_string(hide_password=True)


def path_of(home: Home, name: str) -> Path:
    return home.studies / f"{name}.log"
