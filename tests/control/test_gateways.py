"""Drain, block and unblock by command: kept over a restart, shown in the list, the status and the metrics."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import attrs

from appliance.commands.gateway import gateway_rows
from appliance.config.health import HealthSettings
from appliance.config.settings import Settings
from appliance.control.gateways import GateControl
from appliance.metrics import Metrics, render_prometheus
from tests.proxy.pretend_net import Box
from tests.proxy.test_groups import A1, A2, B1, Calling, settings_with, trunk


def settings() -> Settings:
    health = HealthSettings(name="h", ping_interval_s=None, fail_after=1)
    made = settings_with(None, trunk("a", A1, A2, health="h"), trunk("b", B1))
    return attrs.evolve(made, health={"h": health})


async def test_a_hold_lasts_over_a_restart_until_it_is_taken_back(tmp_path: Path) -> None:
    box = Box(settings())
    gates = GateControl(box.core, tmp_path)
    answer = await gates.command("drain", "a", A1)
    assert answer["ok"]
    assert stat.S_IMODE((tmp_path / "gateways.json").stat().st_mode) == 0o600
    again = Box(settings())
    after = GateControl(again.core, tmp_path)
    after.load()
    assert [(one.gateway, one.state, one.usable) for one in after.overview()] == [
        (A1, "drained", False),
        (A2, "in service", True),
        (B1, "not watched", True),
    ]
    assert Calling(again).firsts("8001", 2, A1, A2) == {A2: 2}
    await after.command("block", "b")
    assert (await after.command("unblock", "a"))["ok"]
    assert Calling(again).firsts("8001", 2, A1, A2) == {A1: 2}
    third = Box(settings())
    last = GateControl(third.core, tmp_path)
    last.load()
    assert [one.state for one in last.overview()] == ["in service", "in service", "blocked"]


async def test_what_is_not_known_is_named(tmp_path: Path) -> None:
    gates = GateControl(Box(settings()).core, tmp_path)
    for words, said in (
        (("drain", "c"), "there is no [trunk c]; known are a, b, pbx"),
        (("drain", "a", "192.0.2.99"), f"[trunk a] has no gateway 192.0.2.99; known are {A1}, {A2}"),
        (("drain",), "say which: gateway drain TRUNK [GATEWAY]"),
        (("rub",), "known are list, drain, block, unblock"),
    ):
        answer = await gates.command(*words)
        assert (answer["ok"], answer["error"]) == (False, said)
    assert not (tmp_path / "gateways.json").exists()


def test_a_file_that_cannot_be_read_holds_nobody_and_is_left_alone(tmp_path: Path) -> None:
    for text in ("{", '{"held": [{"trunk": 1}]}', '{"held": 3}', '{"held": [{"trunk":"a","gateway":"b","hold":"x"}]}'):
        (tmp_path / "gateways.json").write_text(text)
        gates = GateControl(Box(settings()).core, tmp_path)
        gates.load()
        assert all(one.usable for one in gates.overview())
        assert (tmp_path / "gateways.json").read_text() == text


async def test_the_state_is_in_the_list_and_the_metrics(tmp_path: Path) -> None:
    box = Box(settings())
    gates = GateControl(box.core, tmp_path)
    metrics = Metrics()
    gates.show(metrics)
    calling = Calling(box)
    calling.call("8001")
    box.run(4.6)
    shown = render_prometheus(metrics)
    assert f'jackfield_gateway_up{{trunk="a",gateway="{A1}"}} 0' in shown
    assert f'jackfield_gateway_up{{trunk="a",gateway="{A2}"}} 1' in shown
    assert f'jackfield_gateway_calls{{trunk="a",gateway="{A2}"}} 1' in shown
    assert f'jackfield_gateway_attempts_total{{trunk="a",gateway="{A1}",end="silent"}} 1' in shown
    answer = await gates.command("list", "a")
    assert json.loads(json.dumps(answer))["gateways"][0]["attempts"] == 1
    assert gateway_rows(answer["gateways"]) == [
        ("a", A1, "stands down", "0 calls", "4000 ms", "for 30 s, the last call failed, it was silent"),
        ("a", A2, "in service", "1 call", "", ""),
    ]
