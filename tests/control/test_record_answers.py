"""What the box answers to questions about its records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.control.records import answer_of
from appliance.storage.record_store import RecordStore
from tests.storage.kept import Kept, record


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    kept = Kept(tmp_path, RecordStore(tmp_path))
    yield kept
    kept.store.close()


def test_a_call_comes_with_its_verdict_and_what_to_do(kept: Kept, tmp_path: Path) -> None:
    silent = record(1, answered_ms=2000, ended_ms=9000, sound="One-way audio: it was quiet", remedy="Look there.")
    kept.keep(silent)
    answer = answer_of({"what": "call", "name": "1"}, kept.ask, tmp_path)
    call = answer["call"]
    assert isinstance(call, dict)
    assert str(call["verdict"]).startswith("One-way audio: it was quiet; ")
    assert call["what_to_do"] == "Look there."


def test_a_time_that_ends_before_it_begins_is_refused(kept: Kept, tmp_path: Path) -> None:
    for what in ("calls", "report", "export", "events"):
        with pytest.raises(ValueError, match="ends before it begins"):
            answer_of({"what": what, "kind": "trunks", "from_ms": 2, "to_ms": 1}, kept.ask, tmp_path)
