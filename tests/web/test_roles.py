"""What each role may do on the pages, that a form needs its token, and that everything is written down."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from appliance import web
from appliance.accounts.account import hash_password
from appliance.accounts.audit import AuditEntry, last_entries
from tests.web.box import Box, open_box
from tests.web.test_sign_in import sign_in

ACCOUNTS = "".join(
    f"[account {name}]\nrole = {role}\npassword-hash = {hash_password(f'word-of-{name}')}\n"
    for name, role in (("victor", "viewer"), ("olga", "operator"), ("anna", "administrator"))
)
TRUNK = "[trunk carrier]\ngateways = 192.0.2.10, 192.0.2.11\n"
BAN = {"action": "add", "source": "203.0.113.9", "length": "1h"}
DRAIN = {"action": "drain", "trunk": "carrier", "gateway": "192.0.2.10"}


async def token_of(client: httpx.AsyncClient) -> str:
    found = re.search(r'name="form-token" content="([^"]+)"', (await client.get("/")).text)
    assert found
    return found[1]


async def do(client: httpx.AsyncClient, name: str, **fields: str) -> httpx.Response:
    return await client.post(f"/do/{name}", data={**fields, "token": await token_of(client)})


def written(box: Box) -> list[AuditEntry]:
    return last_entries(box.appliance.identity.state_dir, 100)


@pytest.mark.parametrize(
    ("who", "ban", "reload", "audit"), [("victor", 403, 403, 403), ("olga", 200, 403, 403), ("anna", 200, 200, 200)]
)
async def test_each_role_does_what_it_may_and_no_more(
    tmp_path: Path, who: str, ban: int, reload: int, audit: int
) -> None:
    async with open_box(tmp_path, ACCOUNTS + TRUNK) as box, box.client() as client:
        assert (await sign_in(client, f"word-of-{who}", who)).status_code == 303
        assert (await do(client, "ban", **BAN)).status_code == ban
        shown = (await client.get("/find/bans")).json()
        assert [one["source"] for one in shown["rows"]] == (["203.0.113.9"] if ban == 200 else [])
        assert (await do(client, "gateway", **DRAIN)).status_code == ban
        gateways = (await client.get("/status/now")).json()["trunks"][0]["gateways"]
        assert (gateways[0]["state"] == "drained") is (ban == 200)
        assert (await do(client, "reload")).status_code == reload
        assert (await client.get("/audit")).status_code == audit
        for path in ("/", "/trunks", "/registrations", "/security", "/alarms", "/configuration"):
            page = await client.get(path)
            assert page.status_code == 200
            assert ("data-operate" in page.text, "data-rule" in page.text) == (ban == 200, reload == 200)
        told = [(one.what, one.subject, one.result.partition(":")[0]) for one in reversed(written(box))]
        assert told == [
            ("sign-in", "", "done"),
            ("ban", "add 203.0.113.9 1h", "done" if ban == 200 else "refused"),
            ("gateway", "drain carrier 192.0.2.10", "done" if ban == 200 else "refused"),
            ("reload", "", "done" if reload == 200 else "refused"),
        ]
        assert {(one.who, one.source) for one in written(box)} == {(who, "127.0.0.1")}


async def test_nobody_acts_without_a_session_or_the_token_of_its_page(tmp_path: Path) -> None:
    async with open_box(tmp_path, ACCOUNTS) as box, box.client() as client:
        assert (await client.post("/do/ban", data=BAN)).status_code == 401
        await sign_in(client, "word-of-olga", "olga")
        for token in ({}, {"token": "guessed"}):
            assert (await client.post("/do/ban", data={**BAN, **token})).status_code == 403
        foreign = {"Origin": "https://elsewhere.example.com"}
        right = {**BAN, "token": await token_of(client)}
        assert (await client.post("/do/ban", data=right, headers=foreign)).status_code == 403
        assert (await client.get("/do/ban")).status_code == 405
        assert (await client.get("/find/bans")).json()["rows"] == []


async def test_what_fails_says_why_and_is_written_down(tmp_path: Path) -> None:
    async with open_box(tmp_path, ACCOUNTS) as box, box.client() as client:
        await sign_in(client, "wrong", "olga")
        await sign_in(client, "word-of-olga", "olga")
        answer = await do(client, "ban", action="add", source="nonsense", length="")
        assert answer.status_code == 409
        assert "nonsense" in answer.json()["error"]
        assert (await do(client, "unregister", id="0" * 20)).json()["error"] == "it is gone already"
        results = [(one.what, one.result.partition(":")[0]) for one in reversed(written(box))]
        assert results == [("sign-in", "refused"), ("sign-in", "done"), ("ban", "failed"), ("unregister", "failed")]


async def test_a_changed_role_holds_at_once_and_a_changed_password_ends_the_session(tmp_path: Path) -> None:
    async with open_box(tmp_path, ACCOUNTS) as box, box.client() as client:
        await sign_in(client, "word-of-anna", "anna")
        (tmp_path / "c.conf").write_text("[account anna]\nrole = viewer\n")
        assert (await do(client, "reload")).status_code == 200
        assert (await do(client, "reload")).status_code == 403
        (tmp_path / "c.conf").write_text(f"[account anna]\npassword-hash = {hash_password('another-word')}\n")
        assert (await box.appliance.reload())["ok"]
        assert (await client.get("/status/now")).status_code == 401


async def test_the_configuration_page_shows_what_runs_and_what_the_files_would_change(tmp_path: Path) -> None:
    more = ACCOUNTS + TRUNK + "[user 1002]\npassword = very-secret-word\n"
    async with open_box(tmp_path, more) as box, box.client() as client:
        await sign_in(client, "word-of-victor", "victor")
        page = (await client.get("/configuration")).text
        assert "they are what runs" in page
        assert "[trunk carrier]" in page
        assert "192.0.2.10, 192.0.2.11" in page
        assert "very-secret-word" not in page
        assert "argon2" not in page
        (tmp_path / "c.conf").write_text("[sip]\nmax-calls = 7\n")
        assert "[sip] max-calls changed" in (await client.get("/configuration")).text
        (tmp_path / "c.conf").write_text("[sip]\nmax-calls = many\n")
        page = (await client.get("/configuration")).text
        assert "1 mistake" in page
        assert "c.conf:2" in page


FORMS = re.compile(r'@site\.post\("(/do/[^"]+|/calls/[^"]+)"\)')
ACTIONS = {
    found.replace("<serial>", "x-1")
    for file in Path(web.__file__).parent.glob("*.py")
    for found in FORMS.findall(file.read_text())
    if found != "/do/update"  # only on our image: test_update_page.py
}


async def test_a_viewer_is_offered_no_action_gets_none_and_every_try_is_written_down(tmp_path: Path) -> None:
    async with open_box(tmp_path, ACCOUNTS + TRUNK) as box, box.client() as client:
        assert {"/do/gateway", "/do/ban", "/do/unregister", "/do/reload", "/calls/x-1/hang-up"} <= ACTIONS
        await sign_in(client, "word-of-victor", "victor")
        token = await token_of(client)
        for path in ACTIONS:
            assert (await client.post(path, data={"token": token})).status_code == 403
            assert (await client.post(path, data={"token": "guessed"})).status_code == 403
        refused = [one.what for one in written(box) if one.result.startswith("refused: needs the role")]
        assert len(refused) == len(set(refused)) == len(ACTIONS)
        for path in ("/", "/trunks", "/registrations", "/security", "/configuration", "/diagnosis"):
            page = (await client.get(path)).text
            assert re.findall(r'<(?:form|button)[^>]*(?:action|id)="([^"]+)"', page) in (["/sign-out", "ask-yes"], [])
