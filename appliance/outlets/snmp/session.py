"""A session with the master agent (RFC 2741 §7): open, register, answer what is asked, notify, until it ends.

The master is the machine's snmpd, so its deadlines are short; whatever it does that it must not ends the session,
and the service begins another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import attrs
import trio

from appliance.logs import log
from appliance.sip.errors import BadMessage

from . import agentx
from .agentx import Asked, Fault, Header, PduType
from .tree import Tree
from .value import Oid, Syntax, Variable

TIMEOUT_S: Final = 5
"""How long the master may wait for an answer of ours, and we for one of its."""
PING_S: Final = 30.0
MOST_ANSWERED: Final = 512
"""Variables in one answer; a bulk that wants more gets as many, and asks again."""

_SYS_UP_TIME: Final = (1, 3, 6, 1, 2, 1, 1, 3, 0)
_TRAP_OID: Final = (1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0)


class MasterGone(Exception):  # noqa: N818
    """The session is over; the text says why."""


@attrs.frozen
class Notification:
    """A trap or inform; whether it is one or the other, and to whom it goes, is the master's configuration."""

    name: Oid
    variables: tuple[Variable, ...]


@attrs.define(eq=False)
class Session:
    """One session over one connection, about one tree."""

    stream: trio.abc.Stream
    tree: Tree
    clock: Callable[[], float] = trio.current_time
    answered: int = 0
    """Variables that were asked for and answered."""
    started_at: float = 0.0
    """By our clock, when the master's sysUpTime was zero."""
    _session: int = 0
    _packet: int = 0
    _buffer: bytearray = attrs.field(factory=bytearray)
    _waiting: dict[int, tuple[trio.Event, list[agentx.Answered]]] = attrs.field(factory=dict)
    _sending: trio.Lock = attrs.field(factory=trio.Lock)

    async def open(self, descr: str, subtrees: Sequence[Oid]) -> None:
        """Open and register. Raises MasterGone where the master refuses or does not answer in time."""
        with trio.move_on_after(TIMEOUT_S) as limit:
            header, answer = await self._ask_first(PduType.OPEN, agentx.open_payload(TIMEOUT_S, descr))
            if answer.error:
                raise MasterGone(f"snmpd refused the session ({_named(answer.error)})")
            self._session = header.session
            self.started_at = self.clock() - answer.up_ticks / 100
            for subtree in subtrees:
                _, answer = await self._ask_first(PduType.REGISTER, agentx.register_payload(subtree))
                if answer.error:
                    dotted = ".".join(map(str, subtree))
                    raise MasterGone(f"snmpd refused the subtree {dotted} ({_named(answer.error)})")
        if limit.cancelled_caught:
            raise MasterGone(f"snmpd did not answer within {TIMEOUT_S} s")

    async def run(self) -> None:
        """Answer until the master goes away; raises MasterGone then."""
        while True:
            header, payload = await self._read()
            await self._heard(header, payload)

    async def ping(self) -> None:
        """Ask now and then whether the master is there; raises MasterGone where it is not."""
        while True:
            await trio.sleep(PING_S)
            await self._ask(PduType.PING, b"")

    async def notify(self, one: Notification) -> None:
        """Hand a notification to the master and wait until it has it. Raises MasterGone."""
        variables = (Variable(_TRAP_OID, Syntax.OBJECT_ID, one.name), *one.variables)
        answer = await self._ask(PduType.NOTIFY, agentx.variables_payload(variables))
        if answer.error:
            raise MasterGone(f"snmpd refused a notification ({_named(answer.error)})")

    async def close(self) -> None:
        """Say goodbye (reason shutdown); a master that is gone already does not mind."""
        with trio.move_on_after(1.0, shield=True):
            try:
                await self._send(PduType.CLOSE, agentx.close_payload(5), 0, self._next())
            except MasterGone:
                pass

    def ticks(self, at: float) -> int:
        """A time of our clock as a TimeStamp of the master's sysUpTime: 0 where that began later (RFC 2579)."""
        return max(0, int((at - self.started_at) * 100))

    async def _heard(self, header: Header, payload: bytes) -> None:
        if header.type == PduType.RESPONSE:
            waiting = self._waiting.get(header.packet)
            if waiting is not None:
                waiting[1].append(agentx.read_answered_untrusted(header, payload))
                waiting[0].set()
            return
        if header.type == PduType.CLOSE:
            raise MasterGone("snmpd closed the session")
        if header.type == PduType.CLEANUP_SET:  # it has no answer (§7.2.4.4)
            return
        await self._send(PduType.RESPONSE, self._answer(header, payload), header.transaction, header.packet)

    def _answer(self, header: Header, payload: bytes) -> bytes:
        refused = {
            PduType.TEST_SET: (Fault.NOT_WRITABLE, 1),
            PduType.COMMIT_SET: (Fault.COMMIT_FAILED, 1),
            PduType.UNDO_SET: (Fault.UNDO_FAILED, 1),
        }
        if header.type in refused:
            return agentx.response_payload((), *refused[PduType(header.type)])
        if header.type not in (PduType.GET, PduType.GET_NEXT, PduType.GET_BULK):
            return agentx.response_payload((), Fault.PARSE_ERROR)
        try:
            asked = agentx.read_asked_untrusted(header, payload)
            found = list(self._found(header, asked))
        except BadMessage as bad:
            log.warning("snmp.unread", reason=bad)
            return agentx.response_payload((), Fault.PARSE_ERROR)
        except Exception as error:  # whoever asked for something else is to get that
            log.error("snmp.failed", error)
            return agentx.response_payload((), Fault.GENERAL, 1)
        self.answered += len(found)
        return agentx.response_payload(found)

    def _found(self, header: Header, asked: Asked) -> Iterable[Variable]:
        tree = self.tree
        if header.type == PduType.GET:
            return [tree.get(one.start) for one in asked.ranges]
        if header.type == PduType.GET_NEXT:
            return [tree.after(one.start, include=one.include, end=one.end) for one in asked.ranges]
        return _bulk(tree, asked)

    async def _ask_first(self, kind: PduType, payload: bytes) -> tuple[Header, agentx.Answered]:
        """Ask before the loop of run() reads; the master may ping meanwhile, and nothing else."""
        packet = self._next()
        await self._send(kind, payload, 0, packet)
        while True:
            header, answer = await self._read()
            if header.type == PduType.RESPONSE and header.packet == packet:
                return header, agentx.read_answered_untrusted(header, answer)
            await self._heard(header, answer)

    async def _ask(self, kind: PduType, payload: bytes) -> agentx.Answered:
        packet = self._next()
        event, answers = self._waiting[packet] = trio.Event(), []
        try:
            with trio.move_on_after(TIMEOUT_S):
                await self._send(kind, payload, 0, packet)
                await event.wait()
        finally:
            del self._waiting[packet]
        if not answers:
            raise MasterGone(f"snmpd did not answer within {TIMEOUT_S} s")
        return answers[0]

    async def _read(self) -> tuple[Header, bytes]:
        try:
            header = agentx.read_header_untrusted(await self._exactly(agentx.HEADER_BYTES))
            return header, await self._exactly(header.length)
        except BadMessage as bad:
            raise MasterGone(f"snmpd sent what is no AgentX: {bad}") from bad

    async def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            try:
                more = await self.stream.receive_some(65536)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                more = b""
            if not more:
                raise MasterGone("snmpd closed the connection")
            self._buffer += more
        found = bytes(self._buffer[:size])
        del self._buffer[:size]
        return found

    async def _send(self, kind: PduType, payload: bytes, transaction: int, packet: int) -> None:
        data = agentx.write(kind, payload, session=self._session, transaction=transaction, packet=packet)
        try:
            async with self._sending:
                await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise MasterGone("snmpd closed the connection") from None

    def _next(self) -> int:
        self._packet = (self._packet + 1) & 0x7FFFFFFF
        return self._packet


def _bulk(tree: Tree, asked: Asked) -> list[Variable]:
    """The variables of a GetBulk (RFC 2741 §7.2.3.3): the repeaters in turn, row by row."""
    single = min(asked.non_repeaters, len(asked.ranges))
    found = [tree.after(one.start, include=one.include, end=one.end) for one in asked.ranges[:single]]
    repeaters = [(one.start, one.include, one.end) for one in asked.ranges[single:]]
    for _ in range(asked.max_repetitions):
        if not repeaters or len(found) + len(repeaters) > MOST_ANSWERED:
            break
        row = [tree.after(start, include=include, end=end) for start, include, end in repeaters]
        found += row
        repeaters = [(one.name, False, end) for one, (_, _, end) in zip(row, repeaters, strict=True)]
        if all(one.syntax is Syntax.END_OF_MIB_VIEW for one in row):
            break
    return found


def _named(error: int) -> str:
    try:
        return Fault(error).name.lower().replace("_", " ")
    except ValueError:
        return f"error {error}"
