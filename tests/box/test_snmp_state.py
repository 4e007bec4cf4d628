"""snmpd's engine goes with the box: into a backup, and back into snmpd after a restore."""

import json
from pathlib import Path

import pytest
import trio

from appliance.box.boxd import VERBS, answer_untrusted, serve_box
from appliance.box.machine import Ran
from appliance.box.snmp_state import FILE
from appliance.box.verb import Json, Peer
from appliance.control.machine import MachineControl
from tests.box.machines import Programs, image_in
from tests.box.test_boxd import folder  # noqa: F401 (a fixture)

TABLE = {one.name: one for one in VERBS}
KEPT = "# snmpd's own\nsetserialno 7\nusmUser 1 3 0x80 x\nengineBoots 3\noldEngineID 0x8000000001020304\n"


async def ask(root: Path, programs: Programs, verb: str, **words: Json) -> dict[str, Json]:
    line = json.dumps({"verb": verb, **words}).encode()
    return await answer_untrusted(line, Peer(1, 0), image_in(root, programs), TABLE)


async def test_the_engine_is_told_and_put_back(tmp_path: Path) -> None:
    assert await ask(tmp_path, Programs(), "snmp-state") == {"ok": True, "engine_id": "", "engine_boots": ""}
    file = tmp_path / FILE
    file.parent.mkdir(parents=True)
    file.write_text(KEPT)
    found = await ask(tmp_path, Programs(), "snmp-state")
    assert (found["engine_id"], found["engine_boots"]) == ("0x8000000001020304", "3")
    programs = Programs()
    assert (await ask(tmp_path, programs, "snmp-state-put", engine_id="0x80000000FF", engine_boots=9))["ok"]
    assert file.read_text() == "# snmpd's own\nsetserialno 7\noldEngineID 0x80000000FF\nengineBoots 9\n"
    assert [line.split()[1] for line in programs.ran] == ["--quiet", "stop", "start"]


async def test_snmpd_is_not_started_where_it_does_not_run(tmp_path: Path) -> None:
    (tmp_path / FILE).parent.mkdir(parents=True)
    programs = Programs(answers={"systemctl --quiet is-active": Ran(3, "")})
    assert (await ask(tmp_path, programs, "snmp-state-put", engine_id="0x80000000FF", engine_boots=9))["ok"]
    assert len(programs.ran) == 1


@pytest.mark.parametrize(("engine", "boots"), [("0x80", "1"), ("80000000FF", "1"), ("0x80000000FF", "x"), ("\n", "1")])
async def test_what_is_no_engine_is_refused(tmp_path: Path, engine: str, boots: str) -> None:
    answer = await ask(tmp_path, Programs(), "snmp-state-put", engine_id=engine, engine_boots=boots)
    assert "no engine of SNMP" in str(answer["error"])


async def test_after_a_restore_boxd_is_given_the_engine_once(folder: Path) -> None:  # noqa: F811
    machine = image_in(folder, Programs())
    (machine.conf_dir / "10.conf").write_text("[listener udp]\ntransport = udp\nport = 5060\n")
    (folder / FILE).parent.mkdir(parents=True)
    (folder / "proc/sys/kernel/random").mkdir(parents=True)
    (folder / "proc/sys/kernel/random/boot_id").write_text("one\n")
    extra = machine.state_dir / "snmp-engine.json"
    extra.write_text(json.dumps({"engine_id": "0x80000000FF", "engine_boots": "9"}))
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_box, machine)
        control = MachineControl(machine, machine.state_dir)
        await nursery.start(control.run)
        with trio.fail_after(60):
            while extra.exists():  # noqa: ASYNC110 (a file tells nobody)
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    assert "engineBoots 9" in (folder / FILE).read_text()
