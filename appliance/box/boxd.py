"""The root daemon: a Unix socket, one JSON object a line each way, and a table of what may be asked by whom.

It is small on purpose: no shell, no file names of the caller's, every verb in the log with the process and the user
that asked. The kernel says who asks (SO_PEERCRED). One verb runs at a time; what somebody asked who has hung up
before its turn is not done.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import select
import socket
import struct
from collections.abc import Sequence
from functools import partial
from typing import Final

import trio

from ..logs import log
from . import clock, firewall, network_change, power, snmp_state, stick_files, take_up, update
from .machine import Machine, NotOurImage, Refused
from .verb import Answer, Callers, Json, Peer, Verb, Words

GROUP: Final = "jackfield"
USER: Final = "jackfield"
LONGEST_LINE: Final = 65_536
READ_DEADLINE_S: Final = 10.0
MOST_CLIENTS: Final = 8
_CREDENTIALS: Final = struct.Struct("3i")


async def _help(machine: Machine, words: Words) -> Answer:
    verbs: list[Json] = [
        {"verb": one.name, "words": list(one.words), "callers": one.callers.value, "about": one.about} for one in VERBS
    ]
    return {"verbs": verbs}


VERBS: Final[tuple[Verb, ...]] = (
    Verb("help", "Tell what may be asked.", Callers.GROUP, _help),
    *power.VERBS,
    *update.VERBS,
    *network_change.VERBS,
    *clock.VERBS,
    *firewall.VERBS,
    *stick_files.VERBS,
    *take_up.VERBS,
    *snmp_state.VERBS,
)
BEGINNINGS: Final = (network_change.begin, take_up.begin)
"""What is put in place at boxd's start; none of them raises for what the configuration says."""


async def serve_box(
    machine: Machine,
    verbs: Sequence[Verb] = VERBS,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer until cancelled. Raises `NotOurImage`, or `OSError` where the socket cannot be made."""
    machine.must_be_ours()
    table = {one.name: one for one in verbs}
    file = machine.socket
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    file.unlink(missing_ok=True)
    listener = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    turn, clients = trio.Lock(), trio.CapacityLimiter(MOST_CLIENTS)
    try:
        before = os.umask(0o177)
        try:
            await listener.bind(str(file))
        finally:
            os.umask(before)
        _open_to_group(str(file))
        listener.listen(MOST_CLIENTS)
        for begin in BEGINNINGS:
            await begin(machine)
        log.info("box.ready", socket=file, verbs=len(table), image=machine.version)
        task_status.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(network_change.watch, machine)
            while True:
                await clients.acquire_on_behalf_of(waiting := object())
                client, _ = await listener.accept()
                nursery.start_soon(partial(_serve_client, client, machine, table, turn, clients, waiting))
    finally:
        listener.close()
        file.unlink(missing_ok=True)


def _open_to_group(file: str) -> None:
    try:
        os.chown(file, -1, grp.getgrnam(GROUP).gr_gid)
        os.chmod(file, 0o660)
    except KeyError:
        log.warning("box.no_group", group=GROUP, remedy="only root may ask until there is one")


async def _serve_client(
    client: trio.socket.SocketType,
    machine: Machine,
    table: dict[str, Verb],
    turn: trio.Lock,
    clients: trio.CapacityLimiter,
    waiting: object,
) -> None:
    """Line after line, until the client leaves or is silent for long."""
    try:
        with client:
            peer, asked = _peer(client), b""
            while True:
                with trio.fail_after(READ_DEADLINE_S):
                    while b"\n" not in asked and len(asked) <= LONGEST_LINE:
                        more = await client.recv(LONGEST_LINE)
                        if not more:
                            return
                        asked += more
                line, _, asked = asked.partition(b"\n")
                async with turn:
                    if _has_hung_up(client):
                        log.info("box.dropped", pid=peer.pid, uid=peer.uid, why="who asked has hung up meanwhile")
                        return
                    answer = await answer_untrusted(line, peer, machine, table)
                data = memoryview(json.dumps(answer).encode() + b"\n")
                with trio.fail_after(READ_DEADLINE_S):
                    while data:
                        data = data[await client.send(data) :]
    except (OSError, trio.TooSlowError):
        pass  # the client went away, or is asleep
    except Exception as error:
        log.error("box.failed", error)
    finally:
        clients.release_on_behalf_of(waiting)


def _has_hung_up(client: trio.socket.SocketType) -> bool:
    """Both ways, as a close does: who only says that he asks no more still waits for his answer."""
    poll = select.poll()
    poll.register(client.fileno(), 0)
    return any(event & select.POLLHUP for _, event in poll.poll(0))


def _peer(client: trio.socket.SocketType) -> Peer:
    pid, uid, _ = _CREDENTIALS.unpack(client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    try:
        service = uid in (os.geteuid(), pwd.getpwnam(USER).pw_uid)
    except KeyError:
        service = uid == os.geteuid()  # whoever runs boxd: root, or whoever tries it out
    return Peer(pid, uid, service)


async def answer_untrusted(line: bytes, peer: Peer, machine: Machine, table: dict[str, Verb]) -> Answer:
    """What a line is answered; it leaves an entry in the log whatever comes of it."""
    if len(line) > LONGEST_LINE:
        return _refuse("?", peer, f"a line has at most {LONGEST_LINE} bytes")
    try:
        said = json.loads(line)
        name = said["verb"]
        verb = table[name]
    except (ValueError, TypeError, KeyError, RecursionError):
        return _refuse("?", peer, f"known verbs are {', '.join(table)}")
    if not peer.may(verb.callers):
        return _refuse(verb.name, peer, f"{verb.name} is for {verb.callers.value} only")
    words = verb.words_of_untrusted(said)
    if isinstance(words, str):
        return _refuse(verb.name, peer, words)
    try:
        machine.must_be_ours()
        answer = await verb.do(machine, words)
    except (Refused, NotOurImage) as refused:
        return _refuse(verb.name, peer, str(refused))
    except OSError as error:
        return _refuse(verb.name, peer, f"{error.filename or verb.name}: {error.strerror or error}")
    except Exception as error:
        log.error("box.verb.failed", error, verb=verb.name, pid=peer.pid, uid=peer.uid)
        return {"ok": False, "error": f"{verb.name} failed by a fault of boxd's; its log says more"}
    tell = log.debug if verb.callers is Callers.GROUP else log.info
    tell("box.done", verb=verb.name, pid=peer.pid, uid=peer.uid)
    return {"ok": True, **answer}


def _refuse(verb: str, peer: Peer, why: str) -> Answer:
    log.warning("box.refused", verb=verb, pid=peer.pid, uid=peer.uid, why=why)
    return {"ok": False, "error": why}
