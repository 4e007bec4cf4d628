"""Which database of call records a box has."""

from __future__ import annotations

from pathlib import Path

from appliance.config.records import RecordsSettings
from appliance.storage.call_data import CallData
from appliance.storage.clickhouse_store import ClickHouseStore
from appliance.storage.record_store import RecordStore


def store_of(settings: RecordsSettings, directory: Path, box: str) -> CallData:
    """Not open yet. `directory` is where the journal is."""
    return RecordStore(directory) if settings.url is None else ClickHouseStore(settings, directory, box)
