"""The page of updates and its addresses: who may, what is taken as it comes, and what is refused with which reason."""

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import trio
import trio.testing

import appliance.app
import appliance.control.update
from appliance.accounts.account import hash_password
from appliance.accounts.audit import AuditEntry, last_entries
from appliance.alarms import Alarms
from appliance.box.machine import Machine, Refused, run_program
from appliance.control.asking import Answer, Json
from appliance.control.update import FIRST_LOOK_S, LOOK_S, UpdateControl
from appliance.web.streamed import HELD_BYTES, StreamedBody
from tests.box.bundles import make_bundle, make_signer, make_squashfs, trusting_box
from tests.web.box import Box, open_box

VIEWER = "[account eve]\nrole = operator\npassword-hash = {}\n"


@attrs.define
class Daemon:
    """What boxd was asked; it refuses what stands in `refusals`."""

    asked: list[tuple[str, dict[str, Any]]] = attrs.field(factory=list)
    refusals: dict[str, str] = attrs.field(factory=dict)

    def ask(self, verb: str, *, machine: Machine, deadline_s: float, **words: str) -> dict[str, Any]:
        self.asked.append((verb, words))
        if verb in self.refusals:
            raise Refused(self.refusals[verb])
        return {"ok": True, "version": "2.0.0"}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return attrs.evolve(trusting_box(tmp_path / "image", make_signer(tmp_path / "ours")), run=run_program)


@pytest.fixture
def bundle(tmp_path: Path, machine: Machine) -> bytes:
    signer = make_signer(tmp_path / "again")
    (machine.root / "etc/rauc/keyring.pem").write_bytes(signer.certificate.read_bytes())
    return make_bundle(signer, make_squashfs(tmp_path / "root", 4), "2.0.0", tmp_path / "new.raucb").read_bytes()


@pytest.fixture
async def box(tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch, daemon: Daemon) -> AsyncIterator[Box]:
    monkeypatch.setattr(appliance.app, "Machine", lambda: machine)
    monkeypatch.setattr(appliance.control.update, "ask_box", daemon.ask)
    folder = tmp_path / "conf"
    folder.mkdir()
    async with open_box(folder, VIEWER.format(hash_password("a long password"))) as opened:
        yield opened


@pytest.fixture
def daemon() -> Daemon:
    return Daemon()


async def sign_in(client: httpx.AsyncClient, name: str, password: str) -> str:
    """The token of its forms."""
    answer = await client.post("/sign-in", data={"name": name, "password": password})
    assert answer.status_code == 303
    page = (await client.get("/")).text
    return page.split('name="form-token" content="', 1)[1].split('"', 1)[0]


def written(box: Box) -> list[AuditEntry]:
    return last_entries(box.appliance.identity.state_dir, 100)


def lying(machine: Machine) -> list[str]:
    return sorted(one.name for one in (machine.state_dir / "updates").iterdir())


async def test_an_administrator_sends_installs_and_restarts(
    box: Box, machine: Machine, bundle: bytes, daemon: Daemon
) -> None:
    async with box.client() as client:
        token = await sign_in(client, "admin", box.password)
        page = (await client.get("/update")).text
        assert '<a href="/update" aria-current="page">Update' in page
        answer = await client.put("/update/bundle?name=new.raucb", content=bundle)
        assert (answer.status_code, answer.json()["version"]) == (200, "2.0.0")
        assert lying(machine) == ["new.raucb"]
        for action, file, more in (
            ("install", "new.raucb", {}),
            ("stick", "s.raucb", {"anyway": "yes"}),
            ("previous", "", {}),
            ("restart", "", {}),
        ):
            form = {"action": action, "file": file, "token": token, **more}
            assert (await client.post("/do/update", data=form)).json()["ok"]
        assert (await client.get("/update/status")).json()["version"] == "2.0.0"
    assert [verb for verb, _ in daemon.asked] == [
        *("update-install", "update-install", "update-previous", "reboot", "update-status"),
    ]
    assert [words for _, words in daemon.asked[:2]] == [
        {"file": "new.raucb"},
        {"file": "s.raucb", "stick": "yes", "anyway": "yes"},
    ]
    said = [(one.what, one.subject, one.result) for one in written(box)]
    assert ("update: send", "new.raucb", "done") in said
    assert ("update", "install new.raucb", "done") in said
    assert ("update", "stick s.raucb anyway", "done") in said


async def test_what_is_refused_is_not_kept_and_is_in_the_audit_log(box: Box, machine: Machine, bundle: bytes) -> None:
    spoilt = bytearray(bundle)
    spoilt[2_000_000] ^= 1
    async with box.client() as client:
        await sign_in(client, "admin", box.password)
        for name, content, error in (
            ("a.raucb", bytes(spoilt), "a.raucb was changed after it was signed, or damaged on its way here"),
            ("b.raucb", b"no bundle", "b.raucb is not an update bundle"),
            ("../c.raucb", bundle, "Give it a name of letters, digits and . _ + ~ - that ends in .raucb."),
            ("d.img", bundle, "Give it a name of letters, digits and . _ + ~ - that ends in .raucb."),
        ):
            answer = await client.put("/update/bundle", params={"name": name}, content=content)
            assert (answer.status_code, answer.json()) == (409, {"ok": False, "error": error})
    assert lying(machine) == []
    assert "failed: b.raucb is not an update bundle" in [one.result for one in written(box)]


async def test_nobody_else_may(box: Box, machine: Machine, daemon: Daemon) -> None:
    async with box.client() as client:
        assert (await client.put("/update/bundle?name=n.raucb", content=b"hsqs")).status_code == 401
        assert (await client.get("/update")).status_code == 303
        assert (await client.get("/update/status")).status_code == 401
        token = await sign_in(client, "eve", "a long password")
        assert (await client.put("/update/bundle?name=n.raucb", content=b"hsqs")).status_code == 403
        assert (await client.get("/update")).status_code == 403
        assert "/update" not in (await client.get("/")).text
        form = {"action": "restart", "file": "", "token": token}
        assert (await client.post("/do/update", data=form)).status_code == 403
        foreign = {"Origin": "https://example.com"}
        assert (await client.put("/update/bundle?name=n.raucb", content=b"hsqs", headers=foreign)).status_code == 403
    assert daemon.asked == []
    assert not (machine.state_dir / "updates").exists()


async def test_a_bundle_beyond_the_room_is_not_even_read(
    box: Box, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appliance.control.update, "MOST_BYTES", 2 << 20)

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield bytes(1 << 20)

    async with box.client() as client:
        await sign_in(client, "admin", box.password)
        answer = await client.put("/update/bundle?name=n.raucb", content=bytes(3 << 20))
        assert answer.json()["error"] == "There is room for 2 MiB only."
        with suppress(httpx.TransportError):  # answered, and closed while we still sent
            await client.put("/update/bundle?name=n.raucb", content=endless())
    assert lying(machine) == []


async def test_why_boxd_refuses_is_told(box: Box, daemon: Daemon) -> None:
    daemon.refusals["update-previous"] = "there is no previous version: slot B is empty"
    async with box.client() as client:
        token = await sign_in(client, "admin", box.password)
        form = {"action": "previous", "file": "", "token": token}
        answer = await client.post("/do/update", data=form)
        assert (answer.status_code, answer.json()["error"]) == (409, daemon.refusals["update-previous"])
        form["action"] = "explode"
        assert (await client.post("/do/update", data=form)).status_code == 400


async def test_who_sends_faster_than_we_write_has_to_wait() -> None:
    body = StreamedBody()
    body.append(bytes(HELD_BYTES + 1))
    with trio.move_on_after(0.05) as waiting:
        await body.wait_for_room()
    assert waiting.cancelled_caught
    async with trio.open_nursery() as nursery:
        nursery.start_soon(body.wait_for_room)
        assert len(await anext(body)) == HELD_BYTES + 1


async def test_without_an_image_of_ours_there_is_no_such_page(tmp_path: Path) -> None:
    async with open_box(tmp_path) as box, box.client() as client:
        await sign_in(client, "admin", box.password)
        assert (await client.get("/update")).status_code == 404
        assert "/update" not in (await client.get("/")).text


async def test_a_version_that_was_given_up_is_an_alarm_until_another_is_installed(
    machine: Machine, autojump_clock: trio.testing.MockClock
) -> None:
    fallen: Json = {"version": "2.0.0", "reason": "the echo line does not answer", "at": 1.0}

    class Told(UpdateControl):
        async def status(self) -> Answer:
            return {"ok": True, "fallen": fallen}

    alarms = Alarms()
    async with trio.open_nursery() as nursery:
        await nursery.start(Told(machine, alarms).run)
        await trio.sleep(FIRST_LOOK_S + 1)
        assert [one.sentence for one in alarms.active] == ["version 2.0.0 was given up: the echo line does not answer"]
        fallen = None
        await trio.sleep(LOOK_S)
        assert not alarms.active
        nursery.cancel_scope.cancel()
