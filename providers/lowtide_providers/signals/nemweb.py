"""Australia's pre-dispatch as AEMO publishes it every half hour: the newest file, and a region's rows in it. No key."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

from lowtide_providers.signals.steps import as_number

if TYPE_CHECKING:
    from collections.abc import Mapping

AEST = timezone(timedelta(hours=10))
"""The market's time, in summer too."""
STEP = timedelta(minutes=30)
_TABLE = ["PREDISPATCH", "REGION_SOLUTION"]
_FILE = re.compile(r"PUBLIC_PREDISPATCHIS_(\d{12})_(\d+)\.zip", re.IGNORECASE)
_LARGEST = 64 << 20  # bytes of a file when unpacked; a day's are about 10 MiB
_TIME = "%Y/%m/%d %H:%M:%S"


class Demand(NamedTuple):
    """Mean power of half an hour, NaN where the file has none.

    ``wind_megawatt`` and ``solar_megawatt`` are what the region's large plants could give; roofs are not in it, and
    ``demand_megawatt`` is what they leave.
    """

    demand_megawatt: float
    wind_megawatt: float
    solar_megawatt: float


@dataclass(frozen=True, slots=True)
class Predispatch:
    """One region's run: when it was made, and start of each half hour -> its figures."""

    issued_at: datetime
    half_hours: Mapping[datetime, Demand]


def newest_file(listing: str) -> str | None:
    """The name of the last run's file in the page that lists the folder; None where it lists none."""
    found = max(_FILE.finditer(listing), key=lambda match: match.groups(), default=None)
    return None if found is None else found[0]


def read_archive(body: bytes) -> str:
    """The one text in the archive.

    Raises:
        ValueError: Not an archive, damaged, without a CSV file, or too large to be one of these.
    """
    import zlib
    from zipfile import BadZipFile, ZipFile

    try:
        with ZipFile(BytesIO(body)) as archive:
            inside = next((info for info in archive.infolist() if info.filename.lower().endswith(".csv")), None)
            if inside is None:
                raise ValueError("an archive without a CSV file")
            if inside.file_size > _LARGEST:
                raise ValueError(f"a file of {inside.file_size} bytes")
            return archive.read(inside).decode()
    except (BadZipFile, EOFError, NotImplementedError, RuntimeError, zlib.error) as error:
        raise ValueError(f"an archive that cannot be read, {error}") from error


def read_predispatch(text: str, region: str) -> Predispatch:
    """A region's rows of the market's data file.

    Its first row (C) says when it was made; a row I names the columns of the rows D that follow. ``DATETIME`` is the
    end of a half hour. Runs with an intervention of the operator stand beside the market's own, and are left out.

    Raises:
        KeyError: A column is missing. ValueError: A figure, a time or the whole is not as documented.
    """
    issued_at: datetime | None = None
    columns: list[str] = []
    half_hours: dict[datetime, Demand] = {}
    try:
        rows = list(csv.reader(text.splitlines()))
    except csv.Error as error:
        raise ValueError(f"rows that cannot be read, {error}") from error
    for row in rows:
        if row[:1] == ["C"] and issued_at is None:
            issued_at = _market_time(" ".join(row[5:7]))
        if row[1:3] != _TABLE:
            continue
        if row[0] == "I":
            columns = row
        elif row[0] == "D":
            named = dict(zip(columns, row, strict=False))
            if named["REGIONID"] == region and float(named["INTERVENTION"]) == 0:
                half_hours[_market_time(named["DATETIME"]) - STEP] = Demand(
                    *(as_number(named[name] or None) for name in ("TOTALDEMAND", "SS_WIND_UIGF", "SS_SOLAR_UIGF"))
                )
    if issued_at is None or not columns:
        raise ValueError(f"no {'first row' if issued_at is None else 'table ' + ','.join(_TABLE)}")
    return Predispatch(issued_at, half_hours)


def _market_time(text: str) -> datetime:
    return datetime.strptime(text, _TIME).replace(tzinfo=AEST).astimezone(UTC)
