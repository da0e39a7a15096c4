"""Opens the database, brings it up to date, and turns what SQL says into words."""

from __future__ import annotations

import re
import sqlite3
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from lowtide.store.tables import REVISION
from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import Table

_BUSY_TIMEOUT_S = 30.0


class Database:
    """One database: transactions whose failures are told with its name and what to do."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self.name = name

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction: committed at the end, rolled back by an exception.

        Raises:
            InputError: The database is full, damaged, locked, gone or not writable.
            IntegrityError: A row with that key is there already.
        """
        with told(self.name), self._engine.begin() as connection:
            yield connection

    def close(self) -> None:
        self._engine.dispose()


def insert_once(connection: Connection, table: Table, row: Mapping[str, object]) -> None:
    """Adds a row unless its key is taken: of two writers that bring the same, the second is silent."""
    dialect = import_module(f"sqlalchemy.dialects.{connection.dialect.name}")
    connection.execute(dialect.insert(table).values(**row).on_conflict_do_nothing())


@contextmanager
def told(name: str) -> Iterator[None]:
    """Turns a database's failure into one sentence and what to do."""
    try:
        yield
    except IntegrityError:  # two writers met: the caller knows what that means, and it is no fault of the database
        raise
    except (DBAPIError, sqlite3.Error, OSError) as error:
        said = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise InputError(f"The job store {name} cannot be used: {said}.", hint=_remedy(said), path=name) from error
    except ImportError as error:
        raise InputError(
            f"The job store {name} needs a driver that is not installed: {error}.",
            hint="For PostgreSQL: pip install 'lowtide[postgres]', and an address that begins with postgresql://.",
            path=name,
        ) from error
    except SQLAlchemyError as error:
        raise InputError(f"The job store {name} cannot be used: {error}.", hint="Check LOWTIDE_DATABASE.") from error


def _remedy(said: str) -> str:
    remedies = {
        "not a database": "It is damaged, or something else; name another file in LOWTIDE_DATABASE.",
        "malformed": "It is damaged; restore a backup, or name another file in LOWTIDE_DATABASE.",
        "readonly": "Make the file and its folder writable for you, or name another file in LOWTIDE_DATABASE.",
        "Permission denied": "Make its folder writable for you, or name another file in LOWTIDE_DATABASE.",
        "Not a directory": "Name a file in a folder in LOWTIDE_DATABASE.",
        "unable to open": "Make its folder and file accessible for you, or name another file in LOWTIDE_DATABASE.",
        "disk I/O": "Is its disk full? Free some space; nothing that was stored is lost.",
        "full": "Free some space; nothing that was stored is lost.",
        "locked": "Another process holds it; try again.",
    }
    return next((remedy for word, remedy in remedies.items() if word in said), "Check LOWTIDE_DATABASE.")


def open_database(where: str | Path) -> Database:
    """The database at a path (SQLite) or an SQLAlchemy URL, created and brought up to date where needed.

    Raises:
        InputError: It cannot be opened or written, is damaged, or was made by a newer lowtide.
    """
    is_url = isinstance(where, str) and "://" in where
    name = str(where).split("@")[-1] if is_url else str(where)  # a URL's user and password are nobody's business
    with told(name):
        if is_url:
            engine = create_engine(re.sub("^postgres(ql)?:", "postgresql+psycopg:", str(where)))
        else:
            path = Path(where)
            path.parent.mkdir(parents=True, exist_ok=True)
            engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": _BUSY_TIMEOUT_S})
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _prepare_sqlite)
        try:
            _bring_up_to_date(engine, name)
        except BaseException:
            engine.dispose()
            raise
    return Database(engine, name)


def _prepare_sqlite(connection: sqlite3.Connection, _: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")  # an acknowledged job survives a power cut
    connection.execute("PRAGMA foreign_keys=ON")


def _bring_up_to_date(engine: Engine, name: str) -> None:
    with engine.connect() as connection:
        found = _revision(connection)
        if found == REVISION:
            return
        known = _known_revisions()
        if found is not None and found not in known:
            raise InputError(
                f"The job store {name} was made by a newer lowtide: revision {found}, this one knows {REVISION}.",
                hint="Upgrade lowtide, or name another file in LOWTIDE_DATABASE.",
                path=name,
                revision=found,
            )
        if found is None and inspect(connection).get_table_names():
            raise InputError(
                f"The database {name} holds other tables and is not a job store of lowtide.",
                hint="Name another file in LOWTIDE_DATABASE.",
                path=name,
            )
    upgrade(engine)


def _revision(connection: Connection) -> str | None:
    if "alembic_version" not in inspect(connection).get_table_names():
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def _known_revisions() -> set[str]:
    folder = Path(__file__).parent / "migrations" / "versions"
    return {file.name.split("_")[0] for file in folder.glob("[0-9]*_*.py")}


def upgrade(engine: Engine) -> None:
    """Runs the migrations that are missing; alembic is imported only for this."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            connection.execute(text("BEGIN IMMEDIATE"))  # of two processes that start at once, one migrates
            if _revision(connection) == REVISION:
                return
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
