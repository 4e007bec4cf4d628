"""Bans over a restart, and the operator's hand on them."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing

from appliance.commands.ban import ban_rows
from appliance.control.bans import BANS_FILE, BanControl
from tests.proxy.pretend_net import Box

STRANGER = "198.51.100.3"


def control(tmp_path: Path) -> tuple[Box, BanControl]:
    box = Box()
    return box, BanControl(box.core.gate, tmp_path)


async def test_a_ban_by_hand_is_listed_kept_and_lifted(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    _, bans = control(tmp_path)
    answer = await bans.command("add", "203.0.113.7/24", "5min")
    assert answer["ok"], answer
    [one] = (await bans.command())["bans"]  # type: ignore[union-attr, misc]
    assert (one["source"], one["left_s"], one["by_hand"]) == ("203.0.113.0/24", 300, True)  # type: ignore[index]
    _, again = control(tmp_path)
    again.load()
    [kept] = (await again.command("list"))["bans"]  # type: ignore[union-attr, misc]
    assert kept["source"] == "203.0.113.0/24"  # type: ignore[index]
    assert (await again.command("remove", "203.0.113.0/24"))["ok"]
    _, third = control(tmp_path)
    third.load()
    assert (await third.command())["bans"] == []


async def test_bans_of_the_guard_are_written_a_little_later(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    box, bans = control(tmp_path)
    async with trio.open_nursery() as nursery:
        await nursery.start(bans.run)
        peer = box.peer(STRANGER, transport="TCP")
        box.now = trio.current_time()
        peer.send(peer.request("OPTIONS", "sip:1@example.com", headers=(("user-agent", "sipvicious"),)))
        await trio.sleep(6)
        await bans._save()  # waits for the thread, which the pretend clock knows nothing of
        assert STRANGER in (tmp_path / BANS_FILE).read_text()
        written = (tmp_path / BANS_FILE).stat().st_mtime_ns
        await trio.sleep(20)
        assert (tmp_path / BANS_FILE).stat().st_mtime_ns == written
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "words",
    [
        ("add",),
        ("add", "example.com"),
        ("add", "192.0.2.50"),
        ("add", "127.0.0.1"),
        ("add", "203.0.113.7", "soon"),
        ("add", "203.0.113.7", "0s"),
        ("add", "203.0.113.7", "1h", "more"),
        ("remove", "203.0.113.7"),
        ("remove",),
        ("burn", "203.0.113.7"),
        ("list", "203.0.113.7"),
    ],
)
async def test_what_cannot_be_done_is_said(tmp_path: Path, words: tuple[str, ...]) -> None:
    _, bans = control(tmp_path)
    answer = await bans.command(*words)
    assert not answer["ok"]
    assert answer["error"]
    assert not (tmp_path / BANS_FILE).exists()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"at": 1, "bans": [{"source": 1}]}', '{"at": "x", "bans": []}'])
async def test_a_damaged_file_bans_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / BANS_FILE).write_text(text)
    box, bans = control(tmp_path)
    bans.load()
    assert len(box.core.gate.guard.bans) == 0


def test_bans_as_rows() -> None:
    ban = {"source": "203.0.113.7", "grade": "drop", "left_s": None, "cause": "by hand", "by_hand": True, "times": 0}
    assert ban_rows([ban, {**ban, "left_s": 59.6}]) == [
        ("203.0.113.7", "drop", "for ever", "by hand"),
        ("203.0.113.7", "drop", "1 min 0 s more", "by hand"),
    ]
