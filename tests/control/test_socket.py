"""The control socket: one JSON line each way, for the owner only, one appliance for each state directory."""

import json
import socket
import stat
from functools import partial
from pathlib import Path

import pytest
import trio

from appliance.control.asking import SOCKET, Answer, NothingRuns, ask
from appliance.control.lock import AlreadyRuns, hold_state_dir
from appliance.control.serving import serve_control


async def greet() -> Answer:
    return {"ok": True, "text": "hello"}


async def fail() -> Answer:
    raise RuntimeError("a bug")


COMMANDS = {"greet": greet, "fail": fail}


async def test_a_command_is_answered(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_control, tmp_path, COMMANDS)
        assert stat.S_IMODE((tmp_path / SOCKET).stat().st_mode) == 0o600
        assert await trio.to_thread.run_sync(ask, tmp_path, "greet") == {"ok": True, "text": "hello"}
        nursery.cancel_scope.cancel()
    assert not (tmp_path / SOCKET).exists()


async def test_a_deep_directory_is_no_hindrance(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_control, deep, COMMANDS)
        assert (await trio.to_thread.run_sync(ask, deep, "greet"))["ok"]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("asked", [b"rubbish\n", b"{}\n", b"[]\n", b'{"command": []}\n', b"\xff\n", b"x" * 9000])
async def test_rubbish_is_answered_and_the_next_client_served(tmp_path: Path, asked: bytes) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_control, tmp_path, COMMANDS)
        with trio.socket.socket(socket.AF_UNIX) as wire:
            await wire.connect(str(tmp_path / SOCKET))
            await wire.send(asked)
            answer = json.loads(await wire.recv(4096))
            assert answer["ok"] is False
            assert "greet" in answer["error"]
        assert (await trio.to_thread.run_sync(ask, tmp_path, "greet"))["ok"]
        nursery.cancel_scope.cancel()


async def test_a_bug_in_a_command_does_not_end_the_service(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_control, tmp_path, COMMANDS)
        with pytest.raises(NothingRuns, match="no answer"):
            await trio.to_thread.run_sync(ask, tmp_path, "fail")
        assert (await trio.to_thread.run_sync(ask, tmp_path, "greet"))["ok"]
        nursery.cancel_scope.cancel()


async def test_clients_that_say_nothing_do_not_lock_others_out(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_control, tmp_path, COMMANDS)
        silent = [trio.socket.socket(socket.AF_UNIX) for _ in range(20)]
        for wire in silent:
            await wire.connect(str(tmp_path / SOCKET))
        with trio.socket.socket(socket.AF_UNIX) as wire:
            await wire.connect(str(tmp_path / SOCKET))
            await wire.send(b'{"command": "greet"}\n')
            with trio.fail_after(60):
                assert json.loads(await wire.recv(4096))["ok"]
        for wire in silent:
            wire.close()
        nursery.cancel_scope.cancel()


def test_where_nothing_runs_this_is_said(tmp_path: Path) -> None:
    with pytest.raises(NothingRuns, match="no jackfield runs"):
        ask(tmp_path, "status")
    with pytest.raises(NothingRuns, match="cannot be opened"):
        ask(tmp_path / "none", "status")


async def test_a_socket_left_over_by_a_killed_process_is_no_hindrance(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(tmp_path / SOCKET))
    with pytest.raises(NothingRuns):
        ask(tmp_path, "greet")
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(serve_control, tmp_path, COMMANDS))
        assert (await trio.to_thread.run_sync(ask, tmp_path, "greet"))["ok"]
        nursery.cancel_scope.cancel()


def test_one_state_directory_is_held_by_one_appliance(tmp_path: Path) -> None:
    with hold_state_dir(tmp_path), pytest.raises(AlreadyRuns, match="process"), hold_state_dir(tmp_path):
        pass
    with hold_state_dir(tmp_path):
        pass
