"""The stores that records may be kept in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.storage.call_data import CallData
from appliance.storage.clickhouse_store import ClickHouseStore
from appliance.storage.record_store import RecordStore
from tests.peers.clickhouse import ClickHouseServer, absence
from tests.storage.kept import Kept

Make = Callable[[Path], Kept]
"""What is kept in a directory, with a store of its own."""


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseServer]:
    if absence():
        pytest.skip(absence())
    with ClickHouseServer(tmp_path_factory.mktemp("clickhouse")) as server:
        yield server


@pytest.fixture(params=["file", "clickhouse"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    made: list[CallData] = []

    def make(directory: Path) -> Kept:
        store: CallData
        if request.param == "file":
            store = RecordStore(directory)
        else:
            server: ClickHouseServer = request.getfixturevalue("clickhouse")
            store = ClickHouseStore(server.settings(), directory, "box.example.com")
        made.append(store)
        return Kept(directory, store)

    yield make
    for store in made:
        store.close()


@pytest.fixture
def kept(make: Make, tmp_path: Path) -> Kept:
    return make(tmp_path)
