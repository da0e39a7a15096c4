"""Signal vintages: every series that a plan or a settlement rested on, for ever, bit for bit."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, NewType

import numpy as np
from sqlalchemy import func, select

from lowtide.store.database import insert_once
from lowtide.store.tables import vintages
from lowtide_core.errors import InputError
from lowtide_core.places import ZoneId
from lowtide_core.series import Frame, SignalSeries
from lowtide_core.spans import Span, from_epoch_s, to_epoch_s

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Row

    from lowtide.store.database import Database
    from lowtide_core.series import FloatArray, SeriesKind

VintageId = NewType("VintageId", str)


class SignalStore:
    """Append only: the same content is the same vintage, and nothing is ever overwritten."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, series: SignalSeries) -> VintageId:
        """Keeps the series; its id is made from all that it says."""
        row = _row(series)
        with self._database.begin() as connection:
            insert_once(connection, vintages, row)
        return VintageId(str(row["vintage_id"]))

    def add_all(self, series_by_zone: Mapping[ZoneId, SignalSeries]) -> dict[ZoneId, VintageId]:
        """Keeps what a plan rested on."""
        return {zone: self.add(series) for zone, series in series_by_zone.items()}

    def get(self, vintage_id: str) -> SignalSeries:
        """The series as it was added.

        Raises:
            InputError: No such vintage.
        """
        with self._database.begin() as connection:
            row = connection.execute(select(vintages).where(vintages.c.vintage_id == vintage_id)).first()
        if row is None:
            raise InputError(f"There is no signal vintage {vintage_id!r} in the store.", hint="Is it another store?")
        return _series(row)

    def overlapping(
        self, zone: ZoneId, frame: Frame, span: Span, kinds: Sequence[SeriesKind], *, source: str = ""
    ) -> tuple[SignalSeries, ...]:
        """Vintages of the zone, within the frame, that touch the span; the last received last.

        Args:
            source: Of this source alone; empty is of any.
        """
        query = (
            select(vintages)
            .where(
                vintages.c.zone == zone,
                vintages.c.kind.in_(kinds),
                vintages.c.basis == frame.basis,
                vintages.c.scope == frame.scope,
                vintages.c.accounting == frame.accounting,
                vintages.c.start_utc_s < to_epoch_s(span.end_utc),
                vintages.c.end_utc_s > to_epoch_s(span.start_utc),
                *((vintages.c.source == source,) if source else ()),
            )
            .order_by(vintages.c.fetched_utc_s)
        )
        with self._database.begin() as connection:
            return tuple(_series(row) for row in connection.execute(query))

    def last_fetched(
        self, zone: ZoneId, source: str, kinds: Sequence[SeriesKind], *, by_utc: datetime
    ) -> datetime | None:
        """When the newest vintage of those kinds was received, of those not after ``by_utc``; None without any.

        A clock that was ahead once leaves vintages of the future behind.
        """
        query = select(func.max(vintages.c.fetched_utc_s)).where(
            vintages.c.zone == zone,
            vintages.c.source == source,
            vintages.c.kind.in_(kinds),
            vintages.c.fetched_utc_s <= to_epoch_s(by_utc),
        )
        with self._database.begin() as connection:
            newest_s = connection.execute(query).scalar()
        return None if newest_s is None else from_epoch_s(newest_s)


def _row(series: SignalSeries) -> dict[str, object]:
    row: dict[str, object] = {
        "zone": series.zone,
        "source": series.source,
        "kind": series.kind,
        "basis": series.frame.basis,
        "scope": series.frame.scope,
        "accounting": series.frame.accounting,
        "start_utc_s": series.start_s,
        "end_utc_s": series.end_s,
        "step_s": series.step_s,
        "issued_utc_s": None if series.issued_at is None else to_epoch_s(series.issued_at),
        "fetched_utc_s": None if series.fetched_at is None else to_epoch_s(series.fetched_at),
        "note": series.note,
    }
    values = {
        "intensity_g_per_kwh": series.intensity_g_per_kwh,
        "low_g_per_kwh": series.low_g_per_kwh,
        "high_g_per_kwh": series.high_g_per_kwh,
    }
    digest = hashlib.sha256(json.dumps(row, sort_keys=True).encode())
    for name, array in values.items():
        row[name] = None if array is None else array.astype("<f8").tobytes()
        digest.update(name.encode() + (row[name] or b""))  # type: ignore[operator]
    row["vintage_id"] = digest.hexdigest()[:32]
    return row


def _series(row: Row[tuple[object, ...]]) -> SignalSeries:
    return SignalSeries(
        zone=ZoneId(row.zone),
        start_utc=from_epoch_s(row.start_utc_s),
        step_s=row.step_s,
        intensity_g_per_kwh=_array(row.intensity_g_per_kwh),
        frame=Frame(row.basis, row.scope, row.accounting),
        kind=row.kind,
        source=row.source,
        issued_at=None if row.issued_utc_s is None else from_epoch_s(row.issued_utc_s),
        fetched_at=None if row.fetched_utc_s is None else from_epoch_s(row.fetched_utc_s),
        low_g_per_kwh=None if row.low_g_per_kwh is None else _array(row.low_g_per_kwh),
        high_g_per_kwh=None if row.high_g_per_kwh is None else _array(row.high_g_per_kwh),
        note=row.note,
    )


def _array(data: bytes) -> FloatArray:
    return np.frombuffer(data, dtype="<f8").astype(np.float64)
