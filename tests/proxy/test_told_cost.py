"""What trace and records add to a call, counted in function calls, which no busy machine falsifies.

The log thins floods by the clock, and the garbage collector calls whom it likes: neither is part of what is counted.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from types import FrameType

import pytest

from appliance.logs import log
from tests.proxy.call_cost import Tape, record
from tests.proxy.told_cost import Told

CALLS = 100


def function_calls(kind: str, tape: Tape, place: Path) -> int:
    told = Told(kind, place)
    made = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal made
        made += event in ("call", "c_call")

    gc.disable()
    sys.setprofile(count)
    try:
        told.play(tape)
    finally:
        sys.setprofile(None)
        gc.enable()
    return made


def test_trace_and_records_make_little_more_work_of_a_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "threshold", 30)
    tape = record(CALLS)
    without, with_both = (
        function_calls(kind, tape, tmp_path / kind[:3]) / CALLS for kind in ("off", "trace and records")
    )
    assert with_both < 1.15 * without, f"{without:.0f} function calls without, {with_both:.0f} with both"
