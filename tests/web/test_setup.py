"""The set-up page: the console's code makes an administrator, once; wrong codes are counted."""

from pathlib import Path

import httpx
import pytest

from appliance.accounts.audit import last_entries
from appliance.box.setup_code import code_of, make_code
from appliance.control.setup import MOST_WRONG
from tests.web.box import Box, open_box

NEW = "a-password-of-mine"


async def send(box: Box, code: str, **more: str) -> httpx.Response:
    form = {"code": code, "password": NEW, "again": NEW, "name": "", "address": "", "gateway": "", "dns": ""} | more
    async with box.client() as browser:
        return await browser.post("/setup", data=form)


async def sign_in(box: Box, password: str) -> int:
    async with box.client() as browser:
        answer = await browser.post("/sign-in", data={"name": "admin", "password": password})
    return answer.status_code


async def test_a_fresh_box_is_set_up_with_the_code_of_its_console(tmp_path: Path) -> None:
    async with open_box(tmp_path) as box:
        code = make_code(tmp_path / "var")
        async with box.client() as browser:
            assert (await browser.get("/sign-in")).headers["Location"] == "/setup"
            page = await browser.get("/setup")
            assert "Set up this box" in page.text
            assert code not in page.text
        done = await send(
            box, code.upper().replace("-", " "), name="box-7", address="192.0.2.5/24", gateway="192.0.2.1"
        )
        assert done.status_code == 200
        assert "The box is yours" in done.text
        assert "this is not a Jackfield image" in done.text, "addresses of other machines are their owner's"
        assert box.appliance.settings.appliance.name == "box-7"
        assert str(box.appliance.settings.interfaces["en*"].address[0]) == "192.0.2.5/24"
        assert code_of(tmp_path / "var") == ""
        assert await sign_in(box, NEW) == 303
        assert await sign_in(box, box.password) == 403
        again = await send(box, code)
        assert (again.status_code, again.headers["Location"]) == (303, "/sign-in")
    assert [(one.what, one.result) for one in last_entries(tmp_path / "var", 9)][-1] == ("set-up", "done")


@pytest.mark.parametrize(
    ("more", "status", "why"),
    [
        ({"code": "aaaa-bbbb"}, 403, "not the code"),
        ({"password": "short", "again": "short"}, 403, "a password of 8"),
        ({"again": "another-password"}, 409, "two different passwords"),
        ({"name": "no name"}, 403, "name: &#39;no name&#39; is not a name"),
        ({"address": "192.0.2.5"}, 403, "has no length of its network"),
        ({"address": "192.0.2.5/24", "gateway": "203.0.113.1"}, 403, "lies in no network"),
    ],
)
async def test_what_is_wrong_leaves_the_box_as_it_was(
    tmp_path: Path, more: dict[str, str], status: int, why: str
) -> None:
    async with open_box(tmp_path) as box:
        code = make_code(tmp_path / "var")
        before = (tmp_path / "var/administrators.json").read_bytes()
        answer = await send(box, **{"code": code} | more)
        assert answer.status_code == status
        assert why in answer.text
        assert code_of(tmp_path / "var") == code
        assert (tmp_path / "var/administrators.json").read_bytes() == before
        assert not (tmp_path / "90-network.conf").exists()


async def test_guessing_is_slow_and_in_vain(tmp_path: Path) -> None:
    async with open_box(tmp_path, "[web]\nsign-in-attempts = 3\n") as box:
        code = make_code(tmp_path / "var")
        assert [(await send(box, "aaaa-aaaa")).status_code for _ in range(3)] == [403] * 3
        late = await send(box, code)
        assert late.status_code == 429
        assert int(late.headers["Retry-After"]) > 30
        setup = box.web._inside.setup
        for _ in range(MOST_WRONG):
            await setup.finish("aaaa-aaaa", NEW, "", {})
        assert code_of(tmp_path / "var") not in ("", code), "after many wrong ones it is another"


async def test_a_box_that_is_set_up_has_no_such_page(tmp_path: Path) -> None:
    async with open_box(tmp_path) as box, box.client() as browser:
        assert (await browser.get("/setup")).headers["Location"] == "/sign-in"
        assert (await browser.get("/sign-in")).status_code == 200
