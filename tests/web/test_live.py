"""Pages that follow the box: a reload breaks no stream, listeners are bounded, figures are those of /metrics."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import httpx
import pytest
import trio

from appliance.control.asking import ask
from appliance.web import site
from tests.web.box import open_box
from tests.web.raw_phone import RawPhone
from tests.web.test_call_pages import CONF, sip_address
from tests.web.test_sign_in import sign_in


async def boxes(answer: httpx.Response) -> AsyncIterator[dict[str, object]]:
    async for line in answer.aiter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


async def test_a_reload_breaks_no_stream_and_is_seen_in_it(tmp_path: Path) -> None:
    async with open_box(tmp_path) as box, box.client() as client:
        await sign_in(client, box.password)
        async with client.stream("GET", "/status/events") as answer, aclosing(boxes(answer)) as told:
            assert (await anext(told))["trunks"] == []
            (tmp_path / "c.conf").write_text("[trunk carrier]\ngateways = 192.0.2.1\n")
            assert (await box.appliance.reload())["ok"]
            with trio.fail_after(60):
                while not (await anext(told))["trunks"]:
                    pass


async def test_more_listeners_than_there_is_room_for_are_told_so_and_ask_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "MOST_STREAMS", 1)
    async with open_box(tmp_path) as box, box.client() as client:
        await sign_in(client, box.password)
        async with client.stream("GET", "/status/events") as answer, aclosing(boxes(answer)) as told:
            await anext(told)
            assert (await client.get("/status/events")).status_code == 503
            assert (await client.get("/status/now")).status_code == 200
        with trio.fail_after(60):
            while True:
                async with client.stream("GET", "/status/events") as answer:
                    if answer.status_code == 200:
                        break
                await trio.sleep(0.1)


async def test_whoever_signs_out_hears_so_and_nothing_more(tmp_path: Path) -> None:
    async with open_box(tmp_path) as box, box.client() as client:
        await sign_in(client, box.password)
        page = (await client.get("/")).text
        token = page.partition('name="token" value="')[2].partition('"')[0]
        async with client.stream("GET", "/status/events") as answer:
            lines = answer.aiter_lines()
            assert (await anext(lines)).startswith("data: ")
            assert (await client.post("/sign-out", data={"token": token})).status_code == 303
            with trio.fail_after(60):
                assert "event: signed-out" in [line async for line in lines]


def metric(text: str, name: str) -> float:
    """A figure of /metrics, its labels as they stand there."""
    [line] = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(line.rpartition(" ")[2])


async def test_the_page_and_metrics_say_the_same_of_a_moment_under_calls(tmp_path: Path) -> None:
    limit = "[limit ours]\nscope = box\ncalls = 9\n"
    async with open_box(tmp_path, CONF + limit) as box, box.client() as client:
        await sign_in(client, box.password)
        async with RawPhone(sip_address(box)) as phone, RawPhone(sip_address(box)) as other:
            assert (await phone.call("9197"))[1].status == 200
            assert (await other.call("9197"))[1].status == 200
            assert (await other.call("5550100"))[1].status == 404
            state = box.appliance.identity.state_dir
            assert (await trio.to_thread.run_sync(ask, state, "ban", "add", "203.0.113.9", "1h"))["ok"]
            await trio.sleep(1)  # what the page was told last is from before this
            shown = (await client.get("/status/now")).json()
            text = (await client.get("/metrics")).text
        totals = shown["totals"]
        assert totals["active"] == metric(text, "jackfield_calls_active") == 2
        assert totals["routed"] == metric(text, "jackfield_calls_total") == 2
        assert totals["answered"] == metric(text, "jackfield_calls_answered_total") == 2
        assert totals["registrations"] == metric(text, "jackfield_registrations") == 0
        assert shown["bans"]["total"] == metric(text, "jackfield_bans") == 1
        [udp] = [one for one in shown["listeners"] if one["name"] == "udp"]
        for way in ("in", "out"):
            labels = f'listener="udp",transport="UDP",direction="{way}"'
            assert udp[f"messages_{way}"] == metric(text, f"jackfield_listener_messages_total{{{labels}}}") > 0
        [ours] = [one for one in shown["capacity"] if one["limit"] == "ours"]
        assert ours["used"] == metric(text, 'jackfield_limit_used{limit="ours",what="calls"}') == 2
        assert ours["size"] == metric(text, 'jackfield_limit_size{limit="ours",what="calls"}') == 9
