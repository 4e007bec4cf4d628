"""Signing in and out: who gets a session, how long it lasts, what guessing and foreign pages get."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from appliance.accounts.account import accounts_of
from appliance.web.sessions import Attempts, Sessions
from tests.web.box import Box, open_box


async def sign_in(client: httpx.AsyncClient, password: str, name: str = "admin", **headers: str) -> httpx.Response:
    return await client.post("/sign-in", data={"name": name, "password": password}, headers=headers)


async def test_the_right_password_opens_the_page_and_signing_out_closes_it(tmp_path: Path) -> None:
    async with open_box(tmp_path) as box, box.client() as client:
        answer = await client.get("/")
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
        answer = await sign_in(client, box.password)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        page = await client.get("/")
        assert page.status_code == 200
        assert (await client.get("/status/now")).json()["state"] == "ready"
        kept = dict(client.cookies)
        found = re.search(r'name="token" value="([^"]+)"', page.text)
        assert found
        assert (await client.post("/sign-out", data={"token": "guessed"})).status_code == 403
        assert (await client.get("/status/now")).status_code == 200
        assert (await client.post("/sign-out", data={"token": found[1]})).status_code == 303
        assert (await client.get("/status/now")).status_code == 401
        async with box.client(cookies=kept) as copy:
            assert (await copy.get("/status/now")).status_code == 401


@pytest.mark.parametrize(
    ("side", "name", "secure"), [("https", "__Host-jackfield", True), ("http", "jackfield", False)]
)
async def test_the_cookie_is_kept_from_scripts_and_other_sites(
    tmp_path: Path, side: str, name: str, secure: bool
) -> None:
    async with open_box(tmp_path) as box, box.client(getattr(box, side)) as client:
        cookie = (await sign_in(client, box.password)).headers["set-cookie"]
        assert cookie.startswith(f"{name}=")
        assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= {part.strip() for part in cookie.split(";")}
        assert ("Secure" in cookie) is secure
        assert "Domain" not in cookie


@pytest.mark.parametrize(
    ("name", "password"),
    [("admin", "wrong"), ("nobody", "wrong"), ("", ""), ("admin", "x" * 10_000), ("<b>", "\x00\ud7ff")],
)
async def test_whatever_is_wrong_the_answer_is_the_same(tmp_path: Path, name: str, password: str) -> None:
    async with open_box(tmp_path) as box, box.client() as client:
        answer = await sign_in(client, password, name)
        assert answer.status_code == 403
        assert "Name or password is wrong." in answer.text
        assert "<b>" not in answer.text
        assert "set-cookie" not in answer.headers


async def test_guessing_must_wait_even_for_the_right_password(tmp_path: Path) -> None:
    async with open_box(tmp_path, "[web]\nsign-in-attempts = 3\n") as box, box.client() as client:
        assert (await sign_in(client, box.password)).status_code == 303  # costs no attempt
        for _ in range(3):
            assert (await sign_in(client, "wrong")).status_code == 403
        answer = await sign_in(client, box.password, **{"X-Forwarded-For": "192.0.2.99"})
        assert answer.status_code == 429
        assert 0 < int(answer.headers["retry-after"]) <= 61


def test_attempts_are_forgotten_after_a_minute_and_counted_by_network() -> None:
    attempts = Attempts(lambda: 2)
    for source in ("2001:db8::1", "2001:db8::2"):
        assert attempts.wait_s(source, 100.0) == 0
        attempts.count(source, 100.0)
    assert attempts.wait_s("2001:db8::3", 110.0) == 50.0
    assert attempts.wait_s("2001:db8:0:1::1", 110.0) == 0
    assert attempts.wait_s("192.0.2.1", 110.0) == 0
    assert attempts.wait_s("2001:db8::3", 160.0) == 0


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://elsewhere.example.com"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}],
)
async def test_a_form_of_another_site_is_refused(tmp_path: Path, headers: dict[str, str]) -> None:
    async with open_box(tmp_path) as box, box.client() as client:
        answer = await sign_in(client, box.password, **headers)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
        assert (await sign_in(client, box.password, Origin=box.https)).status_code == 303


def make_sessions(clock: list[float], administrators: dict[str, str]) -> Sessions:
    return Sessions(
        secret=lambda: b"k" * 32,
        accounts=lambda: accounts_of(administrators, {}),
        lifetime_s=lambda: 600.0,
        wall=lambda: clock[0],
    )


async def test_a_session_ends_with_its_time_with_the_password_and_with_its_administrator() -> None:
    clock, administrators = [1_700_000_000.5], {"admin": "hash-1", "other": "hash-2"}
    sessions = make_sessions(clock, administrators)
    cookie = sessions.open("admin")
    session = sessions.find_untrusted(cookie)
    assert session is not None
    assert session.name == "admin"
    assert make_sessions(clock, administrators).find_untrusted(cookie) == session  # after a restart
    clock[0] += 599
    assert sessions.find_untrusted(cookie) is not None
    clock[0] += 1
    assert sessions.find_untrusted(cookie) is None
    clock[0] -= 600
    administrators["admin"] = "hash-3"
    assert sessions.find_untrusted(cookie) is None
    administrators["admin"] = "hash-1"
    del administrators["admin"]
    assert sessions.find_untrusted(cookie) is None


async def test_a_cookie_that_was_touched_is_nobodys() -> None:
    sessions = make_sessions([1_700_000_000.0], {"admin": "hash-1", "other": "hash-2"})
    cookie = sessions.open("admin")
    for place in range(len(cookie)):
        changed = cookie[:place] + ("A" if cookie[place] != "A" else "Q") + cookie[place + 1 :]
        found = sessions.find_untrusted(changed)
        # base64 has spare bits in its last letters: they change no byte
        assert found is None or found == sessions.find_untrusted(cookie)
    for foreign in (
        None,
        "",
        ".",
        "a.b",
        "é.é",
        "x" * 5000,
        cookie + ".x",
        "bnVsbA.bnVsbA",
        "W10.W10",
        "W1tdLDEsMl0.aa",
    ):
        assert sessions.find_untrusted(foreign) is None


async def test_every_page_guards_itself_and_asks_nothing_of_others(tmp_path: Path) -> None:
    async with open_box(tmp_path) as box, box.client() as client:
        await sign_in(client, box.password)
        for path in ("/", "/nowhere", "/healthz", "/status/now"):
            answer = await client.get(path)
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == "no-store"
            assert "server" not in answer.headers
        page = (await client.get("/")).text
        assert not re.search(r'(src|href)="(?!/)', page.replace('href="#main"', ""))
        assert "<script>" not in page
        assert " style=" not in page


async def test_static_files_are_kept_for_ever_under_their_hash(tmp_path: Path) -> None:
    async with open_box(tmp_path) as box, box.client() as client:
        page = (await client.get("/sign-in")).text
        found = re.search(r'href="(/static/[0-9a-f]{16}/jackfield.css)"', page)
        assert found
        answer = await client.get(found[1])
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        for path in ("/static/0000000000000000/jackfield.css", found[1] + "x", "/static/../site.py"):
            assert (await client.get(path)).status_code == 404


@pytest.mark.parametrize("path", ["/", "/sign-in", "/metrics", "/healthz"])
async def test_the_plain_side_answers_to_no_foreign_name(tmp_path: Path, path: str) -> None:
    """A page of a name that leads to 127.0.0.1 would be of our origin otherwise."""
    async with open_box(tmp_path) as box, box.client(box.http) as client:
        answer = await client.get(path, headers={"Host": f"evil.example.com:{box.web.plain[0][1]}"})
        assert answer.status_code == 421
        answer = await client.get(path, headers={"Host": f"localhost:{box.web.plain[0][1]}"})
        assert answer.status_code in (200, 303)


async def events(box: Box, client: httpx.AsyncClient, most: int) -> list[str]:
    found = []
    async with client.stream("GET", "/status/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for line in answer.aiter_lines():
            if line:
                found.append(line)
            if len(found) >= most:
                break
    return found


async def test_events_come_until_the_session_ends(tmp_path: Path) -> None:
    async with open_box(tmp_path) as box, box.client() as client:
        assert (await client.get("/status/events")).status_code == 401
        await sign_in(client, box.password)
        lines = await events(box, client, 2)
        assert all(line.startswith('data: {"now":') for line in lines)
        box.appliance.identity.administrators["admin"] = "another"  # type: ignore[index]
        assert (await client.get("/status/events")).status_code == 401


async def test_after_the_end_of_a_session_the_sign_in_leads_back_to_the_page(tmp_path: Path) -> None:
    async with open_box(tmp_path) as box, box.client() as client:
        page = (await client.get("/sign-in?to=/calls/4bf9-x5")).text
        assert "Your session has ended" in page
        assert 'name="to" value="/calls/4bf9-x5"' in page
        wrong = await client.post("/sign-in", data={"name": "admin", "password": "wrong", "to": "/trunks"})
        assert 'name="to" value="/trunks"' in wrong.text
        right = {"name": "admin", "password": box.password}
        assert (await client.post("/sign-in", data={**right, "to": "/trunks"})).headers["location"] == "/trunks"


@pytest.mark.parametrize(
    "to", ["//evil.example.com", "https://evil.example.com", "/\\evil.example.com", "/a b", "x", ""]
)
async def test_a_sign_in_leads_nowhere_but_to_a_page_of_ours(tmp_path: Path, to: str) -> None:
    async with open_box(tmp_path) as box, box.client() as client:
        assert "evil" not in (await client.get("/sign-in", params={"to": to})).text
        answer = await client.post("/sign-in", data={"name": "admin", "password": box.password, "to": to})
        assert answer.headers["location"] == "/"
