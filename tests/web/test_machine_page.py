"""The page Machine: a backup to download and to take back, for administrators; what only our image can is not shown."""

from pathlib import Path

import httpx

from appliance.accounts.audit import last_entries
from appliance.box.restoring import is_ready, take_up
from appliance.box.sealing import MAGIC
from tests.web.box import open_box
from tests.web.test_roles import ACCOUNTS, do, token_of
from tests.web.test_sign_in import sign_in

KEY = "correct horse battery"


async def download(client: httpx.AsyncClient, **fields: str) -> httpx.Response:
    return await client.post("/machine/backup", data={"token": await token_of(client), **fields})


async def test_a_backup_is_downloaded_and_taken_back(tmp_path: Path) -> None:
    state_dir = tmp_path / "var"
    async with open_box(tmp_path) as box, box.client() as client:
        await sign_in(client, box.password)
        made = await download(client, passphrase=KEY, again=KEY, records="on")
        assert made.status_code == 200
        assert made.content.startswith(MAGIC)
        assert made.headers["content-disposition"].endswith('.backup"')
        assert not list(state_dir.glob("download-*"))
        broken = made.content[:-5]
        assert (await client.put("/machine/backup", content=broken)).json()["ok"]
        refused = await do(client, "restore", passphrase=KEY)
        assert (refused.status_code, refused.json()["ok"]) == (409, False)
        assert not is_ready(state_dir)
        assert (await do(client, "restore", passphrase=KEY)).json()["error"] == "Send the file first."
        await client.put("/machine/backup", content=made.content)
        (tmp_path / "c.conf").write_text("[user 2001]\n")
        taken = await do(client, "restore", passphrase=KEY)
        assert "taken up when Jackfield starts next" in str(taken.json()["changes"])
        assert (tmp_path / "c.conf").exists(), "nothing changes before the next start"
    take_up(state_dir)
    assert not (tmp_path / "c.conf").exists()
    assert (tmp_path / "a.conf").exists()
    done = [(one.what, one.result.partition(":")[0]) for one in last_entries(tmp_path / f"{_kept(state_dir)}", 9)]
    assert ("restore", "done") in done
    assert ("restore", "failed") in done


def _kept(state_dir: Path) -> Path:
    return next(state_dir.glob("before-restore-*"))


async def test_two_passphrases_and_short_ones_make_no_backup(tmp_path: Path) -> None:
    async with open_box(tmp_path) as box, box.client() as client:
        await sign_in(client, box.password)
        assert "two different" in (await download(client, passphrase=KEY, again="x")).text
        assert "8 to 1024 characters" in (await download(client, passphrase="x", again="x")).text


async def test_only_administrators_get_or_send_a_backup(tmp_path: Path) -> None:
    async with open_box(tmp_path, ACCOUNTS) as box:
        for who in ("olga", ""):
            async with box.client() as client:
                if who:
                    await sign_in(client, f"word-of-{who}", who)
                    assert (await download(client)).status_code == 403
                    assert (await do(client, "restore", passphrase="")).status_code == 403
                    assert (await do(client, "machine", action="reboot")).status_code == 403
                assert (await client.put("/machine/backup", content=b"x")).status_code == (403 if who else 401)
                assert (await client.get("/machine")).status_code == (403 if who else 303)
        assert not (tmp_path / "var/upload.new").exists()


async def test_what_only_our_image_can_is_not_shown_elsewhere(tmp_path: Path) -> None:
    async with open_box(tmp_path) as box, box.client() as client:
        await sign_in(client, box.password)
        page = (await client.get("/machine")).text
        assert "Download" in page
        assert "Switch off" not in page
        answer = await do(client, "machine", action="reboot")
        assert "this is not a Jackfield image" in answer.json()["error"]
        assert (await client.get("/machine/network")).json()["ok"] is False
