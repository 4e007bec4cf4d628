"""boxd: who may ask what, what it says, and that it leaves machines alone that are not our image."""

import json
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.box.asking import ask_box
from appliance.box.boxd import LONGEST_LINE, VERBS, answer_untrusted, serve_box
from appliance.box.machine import SOON, Machine, NotOurImage, Ran, Refused, run_program
from appliance.box.power import RESET_MARK
from appliance.box.verb import Callers, Json, Peer
from appliance.cli import main
from appliance.logs import log
from tests.box.machines import Programs, image_in

TABLE = {one.name: one for one in VERBS}
ROOT, SERVICE, OTHER = Peer(1, 0), Peer(2, 1000, service=True), Peer(3, 1001)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short name: a Unix address holds 107 bytes only."""
    with tempfile.TemporaryDirectory(prefix="jf") as name:
        yield Path(name)


@asynccontextmanager
async def boxd_in(folder: Path, programs: Programs) -> AsyncIterator[Machine]:
    machine = image_in(folder, programs)
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_box, machine)
        yield machine
        nursery.cancel_scope.cancel()


async def ask(machine: Machine, verb: str, **words: str) -> dict[str, Json]:
    return await trio.to_thread.run_sync(lambda: ask_box(verb, machine=machine, **words))


async def test_a_verb_is_done_and_answered_over_the_socket(folder: Path) -> None:
    programs = Programs()
    async with boxd_in(folder, programs) as machine:
        answer = await ask(machine, "status")
        assert (answer["version"], answer["factory_reset"]) == ("1.2.3", False)
        await ask(machine, "restart", service="snmpd")
        with pytest.raises(Refused, match="not restarted from here"):
            await ask(machine, "restart", service="ssh")
        with pytest.raises(Refused, match="known verbs are help"):
            await ask(machine, "sing")
        assert machine.socket.stat().st_mode & 0o007 == 0
    assert programs.ran == ["systemctl --no-block restart snmpd.service"]
    with pytest.raises(Refused, match="boxd does not run"):
        ask_box("status", machine=machine)


async def test_several_lines_are_answered_on_one_connection(folder: Path) -> None:
    async with boxd_in(folder, Programs()) as machine:
        wire = trio.socket.socket(socket.AF_UNIX)
        with wire, trio.fail_after(60):
            await wire.connect(str(machine.socket))
            await wire.send(b'{"verb": "status"}\n{"verb": "help"}\n')
            said = b""
            while said.count(b"\n") < 2:
                said += await wire.recv(65536)
    first, second = map(json.loads, said.splitlines())
    assert first["ok"]
    assert {one["verb"] for one in second["verbs"]} == set(TABLE)


async def test_what_somebody_asked_who_has_hung_up_before_its_turn_is_not_done(folder: Path) -> None:
    began, goes_on, did = trio.Event(), trio.Event(), []

    async def run(words: Sequence[str], given: bytes) -> Ran:
        if "restart" in words:
            did.append(words[-1])
            began.set()
            await goes_on.wait()
        return Ran(0, "")

    async def ask_over(wire: trio.socket.SocketType, service: str) -> None:
        await wire.connect(str(machine.socket))
        await wire.send(json.dumps({"verb": "restart", "service": service}).encode() + b"\n")

    machine = attrs.evolve(image_in(folder), run=run)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_box, machine)
            with trio.socket.socket(socket.AF_UNIX) as first, trio.socket.socket(socket.AF_UNIX) as last:
                await ask_over(first, "jackfield")
                await began.wait()
                with trio.socket.socket(socket.AF_UNIX) as gone:
                    await ask_over(gone, "chrony")
                await ask_over(last, "snmpd")
                last.shutdown(socket.SHUT_WR)  # no more questions, which is not to hang up
                goes_on.set()
                assert json.loads(await first.recv(65_536))["ok"]
                assert json.loads(await last.recv(65_536))["ok"]
            nursery.cancel_scope.cancel()
    assert did == ["jackfield.service", "snmpd.service"]


async def test_a_factory_reset_marks_the_partition_and_restarts_but_only_in_so_many_words(tmp_path: Path) -> None:
    programs = Programs()
    machine = image_in(tmp_path, programs)
    answer = await answer_untrusted(b'{"verb": "factory-reset", "sure": "yes"}', SERVICE, machine, TABLE)
    assert not answer["ok"]
    assert not (machine.data / RESET_MARK).exists()
    assert (await answer_untrusted(b'{"verb":"factory-reset","sure":"wipe everything"}', SERVICE, machine, TABLE))["ok"]
    assert (machine.data / RESET_MARK).exists()
    assert programs.ran == [f"{' '.join(SOON)} systemctl --no-block reboot"]


@pytest.mark.parametrize("verb", VERBS, ids=lambda one: one.name)
async def test_each_verb_is_done_for_those_of_its_callers_only(tmp_path: Path, verb) -> None:  # type: ignore[no-untyped-def]
    assert ROOT.may(verb.callers)
    assert SERVICE.may(verb.callers) is (verb.callers is not Callers.ROOT)
    assert OTHER.may(verb.callers) is (verb.callers is Callers.GROUP)
    if not OTHER.may(verb.callers):
        programs = Programs()
        line = json.dumps({"verb": verb.name, **dict.fromkeys(verb.words, "x")}).encode()
        answer = await answer_untrusted(line, OTHER, image_in(tmp_path, programs), TABLE)
        assert answer == {"ok": False, "error": f"{verb.name} is for {verb.callers.value} only"}
        assert programs.ran == []


async def test_every_verb_leaves_a_line_in_the_log(tmp_path: Path) -> None:
    machine = image_in(tmp_path, Programs(answers={"systemd-run": Ran(1, "no such unit")}))
    log.tail.clear()
    answer = await answer_untrusted(b'{"verb": "reboot"}', SERVICE, machine, TABLE)
    assert answer == {"ok": False, "error": "systemctl --no-block reboot failed: no such unit"}
    assert "box.refused verb=reboot pid=2 uid=1000" in log.tail[-1]
    await answer_untrusted(b'{"verb": "reboot"}', SERVICE, image_in(tmp_path), TABLE)
    assert "box.done verb=reboot pid=2 uid=1000" in log.tail[-1]


_WORDS = st.one_of(st.text(max_size=20), st.integers(), st.none(), st.lists(st.integers(), max_size=2))


@settings(max_examples=60, deadline=None)
@given(
    line=st.one_of(
        st.binary(max_size=200),
        st.dictionaries(st.sampled_from(["verb", "service", "sure", "x"]), _WORDS).map(
            lambda one: json.dumps(one).encode()
        ),
        st.just(b"[" * 20_000),
        st.just(b"x" * (LONGEST_LINE + 1)),
    )
)
def test_whatever_is_asked_is_answered_with_a_sentence(line: bytes) -> None:
    async def ask_it() -> dict[str, Json]:
        with tempfile.TemporaryDirectory() as folder:
            return await answer_untrusted(line, OTHER, image_in(Path(folder)), TABLE)

    answer = trio.run(ask_it)
    assert answer["ok"] is True or (answer["ok"] is False and answer["error"])


async def test_a_machine_of_somebody_else_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text("ID=debian\n")
    with pytest.raises(NotOurImage, match="this is not a Jackfield image"):
        await serve_box(Machine(tmp_path))
    assert not (tmp_path / "run").exists()
    with pytest.raises(NotOurImage):
        ask_box("status", machine=Machine(tmp_path))
    assert main(["box", "reboot", "--root", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("jackfield: this is not a Jackfield image")


def test_boxd_as_a_command_leaves_it_alone_as_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["boxd", "--root", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("jackfield: this is not a Jackfield image")


async def test_a_program_is_run_without_a_shell_and_its_fault_is_told() -> None:
    assert await run_program(["cat"], b"$HOME") == Ran(0, "$HOME")
    assert (await run_program(["sh", "-c", "echo out; echo err >&2; exit 3"])).code == 3
    assert (await run_program(["/nowhere/x"])).code == 127
    with pytest.raises(Refused, match="false failed: exit code 1"):
        await Machine().do("false")
