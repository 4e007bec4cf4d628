"""The control socket in the state directory: jackfield reload and status speak through it, one JSON line each way.

Only the owner may connect (mode 0600 in a directory of 0700). The lock beside it keeps a second appliance off
the same state directory.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import trio

from .logs import log

SOCKET: Final = "control.sock"
LOCK: Final = "lock"
LONGEST_ASK: Final = 8192
ASK_DEADLINE_S: Final = 5.0
MOST_CLIENTS: Final = 16

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Answer: TypeAlias = dict[str, Json]
Commands: TypeAlias = Mapping[str, Callable[..., Awaitable[Answer]]]
"""By name; a command is called with the words that follow it."""


class NothingRuns(Exception):  # noqa: N818 (it says what happened)
    """No appliance answers in this state directory."""


class AlreadyRuns(Exception):  # noqa: N818 (it says what happened)
    """Another appliance holds this state directory; pid as it wrote it."""

    def __init__(self, pid: str) -> None:
        super().__init__(
            f"another jackfield runs on this state directory (process {pid or 'unknown'}). "
            "End it, or name a directory of its own for this one by --state-dir."
        )


@contextmanager
def hold_state_dir(state_dir: Path) -> Iterator[None]:
    """Be the only appliance on a state directory until the block is left, or raise AlreadyRuns."""
    handle = os.open(state_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRuns(os.read(handle, 20).decode("ascii", "replace").strip()) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, b"%d\n" % os.getpid(), 0)
        yield
    finally:
        os.close(handle)


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
            await listener.bind(_short(directory))
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


def _short(directory: int) -> str:
    """The socket's name by way of an open directory: a Unix address holds 107 bytes only."""
    return f"/proc/self/fd/{directory}/{SOCKET}"


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


def ask(state_dir: Path, command: str, *words: str, deadline_s: float = 60.0) -> Answer:
    """Ask a running appliance, from another process; raises NothingRuns where none answers."""
    try:
        directory = os.open(state_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise NothingRuns(f"the state directory {state_dir} cannot be opened: {error.strerror}") from None
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as wire:
            wire.settimeout(deadline_s)
            wire.connect(_short(directory))
            wire.sendall(json.dumps({"command": command, "words": words}).encode() + b"\n")
            with wire.makefile("rb") as answers:
                line = answers.readline()
        answer = json.loads(line)
    except (FileNotFoundError, ConnectionError):
        raise NothingRuns(f"no jackfield runs on the state directory {state_dir}") from None
    except PermissionError:
        raise NothingRuns(f"the jackfield on {state_dir} belongs to another user") from None
    except (OSError, ValueError) as error:
        raise NothingRuns(f"the jackfield on {state_dir} gave no answer: {error}") from None
    finally:
        os.close(directory)
    if not isinstance(answer, dict):
        raise NothingRuns(f"the jackfield on {state_dir} gave no answer")
    return answer
