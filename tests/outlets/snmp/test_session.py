"""A session against a master that behaves badly, and the service where there is none."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
import trio
from trio.testing import memory_stream_pair

from appliance.config.snmp import AgentxAddress, SnmpSettings
from appliance.outlets.snmp import agentx
from appliance.outlets.snmp.agentx import Fault, PduType
from appliance.outlets.snmp.service import MOST_WAITING, SnmpAgent, View
from appliance.outlets.snmp.session import MasterGone, Notification, Session
from appliance.outlets.snmp.tree import Scalar, Tree
from appliance.outlets.snmp.value import Syntax

BASE = (1, 3, 6, 1, 4, 1, 32473, 1)


def failing() -> int:
    raise RuntimeError("a fault of ours")


TREE = Tree([Scalar((*BASE, 1), Syntax.GAUGE32, lambda: 7), Scalar((*BASE, 2), Syntax.GAUGE32, failing)])


async def answered(*sent: bytes) -> list[tuple[int, int, bytes]]:
    """Type, error and variables of each answer to these PDUs."""
    ours, masters = memory_stream_pair()
    session = Session(ours, TREE)
    found = []
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def run() -> None:
            with pytest.raises(MasterGone):
                await session.run()

        for data in sent:
            await masters.send_all(data)
            await trio.testing.wait_all_tasks_blocked()
            got = b""
            while not got:
                got = bytes(await masters.receive_some(65536))
            header = agentx.read_header_untrusted(got[:20])
            (error,) = struct.unpack_from(">H", got, 24)
            found.append((header.type, error, got[28:]))
        await masters.aclose()
    return found


def asked(kind: PduType, *names: tuple[int, ...]) -> bytes:
    payload = b"".join(struct.pack(f">4B{len(name)}I4B", len(name), 0, 0, 0, *name, 0, 0, 0, 0) for name in names)
    return agentx.write(kind, payload)


async def test_what_is_asked_for_is_answered_and_nothing_is_set() -> None:
    one, broken, cut, to_set = await answered(
        asked(PduType.GET, (*BASE, 1, 0)),
        asked(PduType.GET, (*BASE, 2, 0)),
        agentx.write(PduType.GET, b"\x05\0\0\0"),
        agentx.write(PduType.TEST_SET, bytes(8)),
    )
    assert (one[0], one[1]) == (PduType.RESPONSE, Fault.NONE)
    assert one[2].endswith(struct.pack(">I", 7))
    assert broken[1] == Fault.GENERAL
    assert cut[1] == Fault.PARSE_ERROR
    assert to_set[1] == Fault.NOT_WRITABLE


@pytest.mark.parametrize("sent", [bytes(20), b"\1\5\x10\0" + b"\xff" * 16, agentx.write(PduType.CLOSE, bytes(4))])
async def test_a_master_that_speaks_something_else_ends_the_session(sent: bytes) -> None:
    ours, masters = memory_stream_pair()
    await masters.send_all(sent)
    with pytest.raises(MasterGone):
        await Session(ours, TREE).run()


async def test_a_master_that_says_nothing_is_given_up(autojump_clock: trio.testing.MockClock) -> None:
    ours, _masters = memory_stream_pair()
    with pytest.raises(MasterGone, match="did not answer"):
        await Session(ours, TREE).open("Jackfield", [BASE])


async def test_without_snmpd_it_says_so_waits_and_keeps_a_bounded_number_of_notifications(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    said: list[str] = []
    settings = SnmpSettings(enabled=True, agentx=AgentxAddress(path=str(tmp_path / "nobody")))
    agent = SnmpAgent(settings, lambda _, __: View([BASE], []), "Jackfield", said.append, said.clear)
    async with trio.open_nursery() as nursery:
        await nursery.start(agent.run)
        for _ in range(MOST_WAITING + 7):
            agent.notify(Notification(BASE, ()))
        await trio.sleep(60)
        assert 5 < len(said) < 20
        assert "not installed" in said[-1]
        assert agent.lost == 7
        agent.prepare(SnmpSettings())()
        await trio.sleep(1)
        assert said == []
        nursery.cancel_scope.cancel()
