"""The list of calls and the page of one, over HTTP: who may see them, what they say, hanging up."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import trio

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
        assert "There was no call since the start" in (await client.get("/calls")).text
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
        path = await page_of(client, "?state=in+progress")
        page = (await client.get(path)).text
        assert "In progress: alice" in page or "In progress: friend" in page
        token = re.search(r'name="token" value="([^"]+)"', page)
        assert token
        async with trio.open_nursery() as nursery:
            told: list[str] = []

            async def follow() -> None:
                async with client.stream("GET", f"{path}/events", timeout=10) as events:
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
