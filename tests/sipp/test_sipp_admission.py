"""Limits of admission control between SIPp and SIPp: reached exactly, refused with their Reason, released exactly."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.control.asking import ask
from tests.peers.ports import free_port
from tests.peers.processes import wait_until
from tests.peers.sipp import UNTIL_TOLD, Sipp
from tests.sipp.conftest import CARRIER, Box

pytestmark = pytest.mark.peer


def reload(box: Box) -> None:
    answer = ask(box.appliance.state_dir, "reload")
    assert answer["ok"], answer


@contextmanager
def limits(box: Box, sections: Mapping[str, Mapping[str, object]]) -> Iterator[None]:
    """These sections by a reload, for as long as the block lasts."""
    box.appliance.write(sections, "90-limits.conf")
    reload(box)
    yield
    assert used(box, "lines") == 0
    (box.appliance.conf_dir / "90-limits.conf").unlink()
    reload(box)


def used(box: Box, name: str, what: str = "calls") -> float:
    rows = ask(box.appliance.state_dir, "status")["capacity"]
    assert isinstance(rows, list)
    found = 0.0
    for one in rows:
        assert isinstance(one, dict)
        if one["limit"] == name and str(one["what"]).partition(",")[0] == what:
            found += float(str(one["used"]))
    return found


def calls(box: Box, directory: Path, service: str, count: int, *, standing: bool = False) -> Sipp:
    """The carrier calls `count` times at once; each call must be answered, and stands until told if wanted."""
    return Sipp(
        "call",
        directory,
        target=box.appliance.address("udp"),
        host=CARRIER,
        service=service,
        calls=count,
        rate=100,
        keys=box.keys(),
        words=UNTIL_TOLD if standing else None,
    )


def expect_answered(caller: Sipp, count: int) -> None:
    wait_until(lambda: caller.messages.count("\nSIP/2.0 200") >= count, f"{count} calls answered")


def refused(box: Box, directory: Path, service: str, status: int, reason: str, count: int = 1) -> None:
    """The same, each to be refused with this status and Reason; 503 with a Retry-After."""
    with Sipp(
        "call_refused",
        directory,
        target=box.appliance.address("udp"),
        host=CARRIER,
        service=service,
        calls=count,
        rate=100,
        keys=box.keys(),
        words={"final": str(status)},
    ) as caller:
        caller.finish()
        said = re.findall(rf"^SIP/2\.0 {status} (?:[^\n]+\n)+", caller.messages, re.M)
        assert len({re.findall(r"^Call-ID: .*", one, re.M)[0] for one in said}) == count, caller.messages
        assert all(f"\nReason: {reason}" in one for one in said), caller.messages
        assert all(("\nRetry-After: " in one) is (status == 503) for one in said), caller.messages


def test_calls_at_a_time(box: Box, tmp_path: Path) -> None:
    with (
        limits(box, {"limit lines": {"scope": "trunk:carrier", "calls": 3}}),
        Sipp("answer", tmp_path, service="1012", calls=6) as callee,
    ):
        box.register(tmp_path, "1012", f"sip:1012@127.0.0.1:{callee.port}")
        for _ in range(2):
            with calls(box, tmp_path, "1012", 3, standing=True) as caller:
                expect_answered(caller, 3)
                refused(box, tmp_path, "1012", 503, 'Q.850;cause=34;text="No circuit/channel available"', 2)
                assert used(box, "lines") == 3
                caller.go_on()
                caller.finish()
            assert used(box, "lines") == 0
        callee.finish()


def test_calls_a_second_with_a_burst(box: Box, tmp_path: Path) -> None:
    with (
        limits(box, {"limit lines": {"scope": "box", "rate": "6/min", "burst": 3}}),
        Sipp("answer", tmp_path, service="1013", calls=4) as callee,
    ):
        box.register(tmp_path, "1013", f"sip:1013@127.0.0.1:{callee.port}")
        with calls(box, tmp_path, "1013", 3) as caller:
            caller.finish()
        refused(box, tmp_path, "1013", 503, "Q.850;cause=42")
        wait_until(lambda: used(box, "lines", "calls at once") <= 1.9, "room for another call")
        with calls(box, tmp_path, "1013", 1) as caller:
            caller.finish()
        callee.finish()


def test_bandwidth_of_the_codecs_offered(box: Box, tmp_path: Path) -> None:
    with (
        limits(box, {"limit lines": {"scope": "trunk:carrier", "audio_bandwidth": "170 kbit/s"}}),
        Sipp("answer", tmp_path, service="1014", calls=3) as callee,
    ):
        box.register(tmp_path, "1014", f"sip:1014@127.0.0.1:{callee.port}")
        with calls(box, tmp_path, "1014", 2, standing=True) as caller:
            expect_answered(caller, 2)
            assert used(box, "lines", "audio kbit/s") == 160
            refused(box, tmp_path, "1014", 503, 'Q.850;cause=49;text="Quality of service not available"')
            caller.go_on()
            caller.finish()
        assert used(box, "lines", "audio kbit/s") == 0
        with calls(box, tmp_path, "1014", 1) as caller:
            caller.finish()
        callee.finish()


def test_a_user_who_has_a_call_is_busy_in_words_of_ones_own(box: Box, tmp_path: Path) -> None:
    sections = {
        "limit lines": {"scope": "user:each", "calls": 1},
        "refusal user-full": {"phrase": "On The Phone", "cause": 17},
    }
    with limits(box, sections), Sipp("answer", tmp_path, service="1015", calls=2) as callee:
        box.register(tmp_path, "1015", f"sip:1015@127.0.0.1:{callee.port}")
        with calls(box, tmp_path, "1015", 1, standing=True) as caller:
            caller.expect_message(r"^SIP/2.0 200")
            refused(box, tmp_path, "1015", 486, 'Q.850;cause=17;text="User busy"')
            caller.go_on()
            caller.finish()
        with calls(box, tmp_path, "1015", 1) as caller:
            caller.finish()
        callee.finish()


def test_a_full_trunk_is_passed_over_for_the_next_of_its_group(box: Box, tmp_path: Path) -> None:
    first, second = free_port(), free_port()
    sections = {
        "trunk first": {"gateways": f"127.0.0.1:{first};transport=udp"},
        "trunk second": {"gateways": f"127.0.0.1:{second};transport=udp"},
        "group both": {"members": "first, second"},
        "route 05-both": {"match": "prefix:95", "target": "group:both", "callers": "trunks"},
        "limit lines": {"scope": "trunk:each", "direction": "out", "calls": 1},
    }
    with (
        limits(box, sections),
        Sipp("answer", tmp_path, port=first, service="9501", calls=1) as one,
        Sipp("answer", tmp_path, port=second, service="9501", calls=1) as two,
    ):
        with calls(box, tmp_path, "9501", 2, standing=True) as caller:
            expect_answered(caller, 2)
            assert used(box, "lines") == 2
            refused(box, tmp_path, "9501", 503, "Q.850;cause=34")
            caller.go_on()
            caller.finish()
        one.finish()
        two.finish()
