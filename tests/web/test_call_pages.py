"""The list of calls and the page of one, over HTTP: who may see them, what they say, hanging up."""

from __future__ import annotations

import html
import re
from pathlib import Path

import httpx
import pytest
import trio

from appliance.alarm_kinds import CATALOGUE
from appliance.storage.call_data import StoreFault
from appliance.storage.call_record import CallRecord
from appliance.storage.record_question import CallQuestion
from tests.web.box import Box, open_box
from tests.web.raw_phone import RawPhone
from tests.web.test_sign_in import sign_in

CONF = """
[appliance]
domains = example.com
[trunk friend]
trusted = 127.0.0.1
[line tone]
kind = tone
[route 11-tone]
match = exact:9197
target = line:tone
callers = trunks
"""


def sip_address(box: Box) -> tuple[str, int]:
    [listener] = [one for one in box.appliance.telephony.transports.snapshot() if one.name == "udp"]
    return listener.addresses[0]


async def page_of(client: httpx.AsyncClient, list_query: str = "") -> str:
    """The page of the call that stands first in the list."""
    found = re.search(r'href="(/calls/[^"?]+)"', (await client.get(f"/calls{list_query}")).text)
    assert found
    return found[1]


async def test_nobody_sees_calls_who_is_not_signed_in(tmp_path: Path) -> None:
    async with open_box(tmp_path) as box, box.client() as client:
        for path in ("/calls", "/calls/1"):
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
        assert (await client.get("/calls/1/events")).status_code == 401
        assert (await client.post("/calls/1/hang-up", data={"token": ""})).status_code == 403


async def test_a_refused_call_says_which_routes_did_not_take_it(tmp_path: Path) -> None:
    async with open_box(tmp_path, CONF) as box, box.client() as client, RawPhone(sip_address(box)) as phone:
        await sign_in(client, box.password)
        assert "There was no call yet" in (await client.get("/calls")).text
        _, response = await phone.call("5550100")
        assert response.status == 404
        page = (await client.get(await page_of(client))).text
        assert "no route leads 5550100 anywhere" in page
        assert "What to do:" in page
        assert page.count('class="rung') >= 2  # INVITE and 404 at least
        assert "No call fits" in (await client.get("/calls?state=in+progress")).text
        assert (await client.get("/calls/unknown")).status_code == 404


async def test_an_operator_hangs_up_a_call_on_its_page(tmp_path: Path) -> None:
    async with open_box(tmp_path, CONF) as box, box.client() as client, RawPhone(sip_address(box)) as phone:
        await sign_in(client, box.password)
        _, response = await phone.call("9197")
        assert response.status == 200
        await trio.sleep(3.1)  # by then it is known whether both sides are heard
        path = await page_of(client, "?state=in+progress")
        page = (await client.get(path)).text
        assert "In progress: alice" in page or "In progress: friend" in page
        token = re.search(r'name="token" value="([^"]+)"', page)
        assert token
        async with trio.open_nursery() as nursery:
            told: list[str] = []

            async def follow() -> None:
                async with client.stream("GET", f"{path}/events", timeout=60) as events:
                    told.append("".join([line async for line in events.aiter_lines()]))

            nursery.start_soon(follow)
            assert (await client.post(f"{path}/hang-up", data={"token": "guessed"})).status_code == 403
            assert (await client.post(f"{path}/hang-up", data={"token": token[1]})).status_code == 303
        assert "An operator hung up after" in told[0]
        assert "event: over" in told[0]
        assert "An operator hung up after" in (await client.get(path)).text
        assert "hung up by an operator" in (await client.get(path)).text


async def test_a_call_that_is_in_memory_no_more_is_told_by_its_record(tmp_path: Path) -> None:
    async with open_box(tmp_path, CONF) as box, box.client() as client, RawPhone(sip_address(box)) as phone:
        await sign_in(client, box.password)
        _, response = await phone.call("9197")
        assert response.status == 200
        core = box.appliance.telephony.core
        [call] = core.calls
        call.hang_up("the test is over")
        core.calls.ended.clear()
        page = (await client.get(f"/calls/{call.serial}")).text
        assert "the test is over" in page
        assert "Known by its record" in page


async def test_the_ladder_of_a_call_that_memory_holds_no_more_comes_from_disk(tmp_path: Path) -> None:
    conf = CONF + "[trace]\ndisk = 16 MiB\n"
    async with open_box(tmp_path, conf) as box, box.client() as client, RawPhone(sip_address(box)) as phone:
        await sign_in(client, box.password)
        await phone.call("5550100")
        [refusal] = box.appliance.telephony.core.refusals.latest
        trace = box.appliance.telephony.trace
        trace.ring.close_chunk()
        trace.ring.resize(0, 3600.0)  # what was sent until now is nowhere but on disk
        page = ""
        with trio.fail_after(60):
            while "404 Not Found" not in page:  # a thread writes it
                page = (await client.get(f"/calls/{refusal.serial}")).text
        assert "None of its messages is kept" not in page


async def test_the_list_looks_through_all_records_page_by_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.web.record_pages.ROWS", 2)
    async with open_box(tmp_path, CONF) as box, box.client() as client, RawPhone(sip_address(box)) as phone:
        await sign_in(client, box.password)
        for number in ("5550100", "5550101", "5550102", "5550103", "5550104"):
            assert (await phone.call(number))[1].status == 404
        core = box.appliance.telephony.core
        core.refusals.latest.clear()  # memory has forgotten them

        async def numbers(path: str) -> list[str]:
            seen = []
            while path:
                page = (await client.get(f"/calls{path}")).text
                seen += re.findall(r'data-label="Called"><span class="text" title="(\d+)"', page)
                following = re.search(r'href="([^"]+)" rel="next"', page)
                path = html.unescape(following[1]) if following else ""
            return seen

        everything = [f"555010{number}" for number in (4, 3, 2, 1, 0)]
        assert await numbers("?") == everything
        assert await numbers("?sort=called&order=up") == everything[::-1]
        assert await numbers("?q=5550103+NO+ROUTE") == ["5550103"]
        assert await numbers("?q=404&state=failed&from=2020-01-01T00:00&zone=60") == everything
        assert await numbers("?state=ended") == []
        assert await numbers("?to=2020-01-01T00:00") == []
        assert "404 is no" not in (await client.get("/calls?q=404&before=x&skip=-1&from=yesterday&sort=x")).text
        [record] = await box.appliance.telephony.records.find(CallQuestion(text="5550102"))
        assert await numbers(f"?q={record.call_id}") == ["5550102"]
        assert "no route leads 5550102" in (await client.get(f"/calls/{record.serial}")).text


async def test_the_list_says_so_where_records_cannot_be_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_box(tmp_path, CONF) as box, box.client() as client, RawPhone(sip_address(box)) as phone:
        await sign_in(client, box.password)
        await phone.call("5550100")

        async def faulty(question: CallQuestion) -> list[CallRecord]:
            raise StoreFault("ClickHouse at 192.0.2.1 is not reached")

        monkeypatch.setattr(box.appliance.telephony.records, "find", faulty)
        page = (await client.get("/calls")).text
        assert "only the latest calls are shown: ClickHouse at 192.0.2.1 is not reached" in page
        assert "5550100" in page


async def test_events_are_listed_and_searched(tmp_path: Path) -> None:
    async with open_box(tmp_path, CONF) as box, box.client() as client:
        answer = await client.get("/events")
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
        assert (await sign_in(client, "wrong", "mallory")).status_code == 403
        await sign_in(client, box.password)
        assert (await box.appliance.supervisor.reload())["ok"]
        (box.appliance.conf_dir / "c.conf").write_text("[nonsense]\n")
        assert not (await box.appliance.supervisor.reload())["ok"]
        alarms = box.appliance.supervisor.alarms
        alarms.raise_(CATALOGUE["disk"], "/data", "the disk is full")
        page = (await client.get("/events")).text
        for told in ("start", "sign-in refused", "mallory", "sign-in", "reload refused", "the disk is full"):
            assert told in page
        only = (await client.get("/events?kind=sign-in+refused&q=MALLORY")).text
        assert "mallory" in only
        assert "the disk is full" not in only
        assert "No event fits" in (await client.get("/events?q=nothing-like-that")).text


async def test_reports_are_shown_and_given_as_csv(tmp_path: Path) -> None:
    async with open_box(tmp_path, CONF) as box, box.client() as client, RawPhone(sip_address(box)) as phone:
        answer = await client.get("/reports/causes.csv")
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
        await sign_in(client, box.password)
        await phone.call("5550100")
        page = (await client.get("/reports?span=7+days&zone=330")).text
        assert "UTC+05:30" in page
        assert "Day by day" in page
        assert '<span class="text" title="404">404</span>' in page
        answer = await client.get("/reports/causes.csv?span=7+days")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert answer.text.startswith("status,cause,calls,example\r\n404,,1,")
        assert (await client.get("/reports/weather.csv")).status_code == 404
        backwards = "from=2026-02-01T00:00&to=2026-01-01T00:00"
        for path in ("/calls", "/events", "/reports"):
            assert "ends before it begins" in (await client.get(f"{path}?{backwards}")).text
            assert "is no time: give one such as" in (await client.get(f"{path}?from=2026-02-30T00:00")).text
        assert (await client.get(f"/reports/causes.csv?{backwards}")).status_code == 400
        nothing = (await client.get("/reports?from=2020-01-01T00:00&to=2020-01-02T00:00&digits=x&tenant='")).text
        assert nothing.count("No call fits") == 1
        assert "By trunk" not in nothing
