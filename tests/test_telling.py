"""The whole box tells: an alarm reaches a collector that a reload brought, the commands and the figures."""

import json
import re
import socket
from pathlib import Path

import pytest
import trio

from appliance.alarm_kinds import TRUNK_DOWN
from appliance.cli import main
from appliance.commands.answers import DONE
from appliance.logs import log
from appliance.metrics import render_prometheus
from tests.test_app import CONF, appliance_in


async def test_an_alarm_reaches_a_collector_that_a_reload_brought(tmp_path: Path) -> None:
    with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as collector:
        await collector.bind(("127.0.0.1", 0))
        async with appliance_in(tmp_path) as appliance:
            text = (
                f"[syslog a]\nhost = 127.0.0.1\nport = {collector.getsockname()[1]}\ntransport = udp\nevents = alarm\n"
            )
            (tmp_path / "a.conf").write_text(CONF + text)
            assert (await appliance.supervisor.reload())["ok"]
            appliance.supervisor.alarms.raise_(TRUNK_DOWN, "carrier", "no gateway answers")
            with trio.fail_after(60):
                message = await collector.recv(4096)
            assert message.startswith(b"<130>1 ")
            assert b'alarm="trunk-down" subject="carrier" severity="critical"' in message
            assert 'jackfield_alarms_active{severity="critical"} 1\n' in render_prometheus(appliance.metrics)
    assert log.sinks == []


async def test_a_refused_reload_is_an_alarm_until_one_is_taken_up(tmp_path: Path) -> None:
    async with appliance_in(tmp_path) as appliance:
        alarms = appliance.supervisor.alarms
        (tmp_path / "a.conf").write_text(CONF + "[alarms]\ndisk-high = 5 %\n")
        assert not (await appliance.supervisor.reload())["ok"]
        [alarm] = [one for one in alarms.active if one.kind.name == "configuration"]
        assert "is not below disk-high" in alarm.sentence
        (tmp_path / "a.conf").write_text(CONF)
        assert (await appliance.supervisor.reload())["ok"]
        assert "configuration" not in {one.kind.name for one in alarms.active}


async def test_the_commands_tell_alarms_and_change_levels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def command(*words: str) -> str:
        assert await trio.to_thread.run_sync(main, [*words, "--state-dir", str(tmp_path / "var")]) == DONE
        return capsys.readouterr().out

    async with appliance_in(tmp_path) as appliance:
        appliance.supervisor.alarms.raise_(TRUNK_DOWN, "carrier", "no gateway answers")
        assert re.search(r"critical +trunk-down +carrier +no gateway answers ", await command("alarms"))
        assert json.loads(await command("alarms", "--json"))["alarms"][0]["remedy"] == TRUNK_DOWN.remedy
        assert re.search(r"trunk-down +carrier ", await command("status"))
        assert "call: debug" in await command("log", "call", "debug")
        assert log.rooms == {"call": "debug"}
        await appliance.supervisor.reload()
        assert log.rooms == {}
