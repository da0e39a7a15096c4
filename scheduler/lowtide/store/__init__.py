"""What must survive a crash: jobs and events, signal vintages, readings, settlements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from lowtide.store.database import Database, open_database
from lowtide.store.jobs import JobStore
from lowtide.store.records import ReadingStore, ServiceStore, SettlementStore
from lowtide.store.signals import SignalStore

if TYPE_CHECKING:
    from pathlib import Path


class Store:
    """The repositories of one database; close it, or use it as a context."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.jobs = JobStore(database)
        self.signals = SignalStore(database)
        self.readings = ReadingStore(database)
        self.settlements = SettlementStore(database)
        self.services = ServiceStore(database)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()


def open_store(where: str | Path) -> Store:
    """The store at a path (SQLite) or an SQLAlchemy URL; see ``open_database`` for what can be wrong."""
    return Store(open_database(where))
