"""The box's side of the control socket: commands by name, each answered by one JSON line.

Only the owner may connect (mode 0600 in a directory of 0700).
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import trio

from ..logs import log
from .asking import SOCKET, Answer, address_in

LONGEST_ASK: Final = 8192
ASK_DEADLINE_S: Final = 5.0
MOST_CLIENTS: Final = 16

Commands: TypeAlias = Mapping[str, Callable[..., Awaitable[Answer]]]
"""By name; a command is called with the words that follow it."""


async def serve_control(
    state_dir: Path, commands: Commands, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
) -> None:
    """Answer commands until cancelled; the caller holds the state directory, so a socket left over is ours."""
    file = state_dir / SOCKET
    file.unlink(missing_ok=True)
    directory = os.open(state_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    clients = trio.CapacityLimiter(MOST_CLIENTS)
    listener = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        before = os.umask(0o177)
        try:
            await listener.bind(address_in(directory))
        finally:
            os.umask(before)
        listener.listen(MOST_CLIENTS)
        task_status.started(str(file))
        async with trio.open_nursery() as nursery:
            while True:
                await clients.acquire_on_behalf_of(waiting := object())
                client, _ = await listener.accept()
                nursery.start_soon(partial(_serve_client, client, commands, clients, waiting))
    finally:
        listener.close()
        os.close(directory)
        file.unlink(missing_ok=True)


async def _serve_client(
    client: trio.socket.SocketType, commands: Commands, clients: trio.CapacityLimiter, waiting: object
) -> None:
    try:
        with client, trio.move_on_after(ASK_DEADLINE_S) as reading:
            asked = b""
            while b"\n" not in asked and len(asked) <= LONGEST_ASK:
                more = await client.recv(LONGEST_ASK)
                if not more:
                    return
                asked += more
            reading.deadline = float("inf")  # a reload may take its time
            answer = await _answer(asked, commands)
            reading.deadline = trio.current_time() + ASK_DEADLINE_S
            data = memoryview(json.dumps(answer).encode() + b"\n")
            while data:
                data = data[await client.send(data) :]
    except OSError:
        pass  # the client went away
    except Exception as error:
        log.error("control.failed", error)
    finally:
        clients.release_on_behalf_of(waiting)


async def _answer(asked: bytes, commands: Commands) -> Answer:
    try:
        said = json.loads(asked)
        command = commands[said["command"]]
        words = [str(word) for word in said.get("words", ())]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {"ok": False, "error": f"known commands are {', '.join(sorted(commands))}"}
    try:
        answering = command(*words)
    except TypeError:  # it was not even begun
        return {"ok": False, "error": f"{said['command']} does not take these words: {' '.join(words)}"}
    return await answering
