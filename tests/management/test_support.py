"""The support bundle: everything that helps, nothing that is secret, also where nothing runs."""

import io
import json
import tarfile
from pathlib import Path

import pytest
import trio

from appliance.alarm_kinds import TRUNK_DOWN
from appliance.cli import main
from appliance.commands.support import write_bundle
from appliance.config import SECTIONS
from appliance.config.setting import declarations
from appliance.management.support import NOTHING_KEPT, covered, pack, still_parts
from tests.peers.mailserver import MailServer
from tests.peers.tls import make_certificate
from tests.test_app import CONF, appliance_in, exchange

WORD = "hunter2hunter2"
INVITE = (
    "INVITE sip:4000@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{port}\r\n"
    "Max-Forwards: 70\r\nFrom: <sip:1001@127.0.0.1>;tag=1\r\nTo: <sip:4000@127.0.0.1>\r\nCall-ID: lost-call\r\n"
    "CSeq: 1 INVITE\r\nContact: <sip:1001@127.0.0.1:{port}>\r\n"
    f'Authorization: Digest username="1001", realm="x", nonce="n", uri="sip:x", response="{WORD}"\r\n'
    "Content-Length: 0\r\n\r\n"
)


def unpacked(data: bytes) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found = {}
        for member in archive.getmembers():
            file = archive.extractfile(member)
            assert file is not None
            found[member.name.partition("/")[2]] = file.read().decode()
        return found


def test_every_secret_setting_is_covered() -> None:
    lines = []
    for kind in SECTIONS:
        lines.append(f"[{kind.heading}{' a' if kind.named else ''}]")
        lines += [f"{one.key} = {WORD}" for one in declarations(kind.settings) if one.secret]
    text = covered("\n".join(lines).encode())
    assert WORD not in text
    assert "password = (secret)" in text


@pytest.mark.parametrize(
    "text",
    [
        f"[user a]\n#password = {WORD}\n",
        f"[user a]\n; password={WORD}\n",
        f"[user a]\n  password = {WORD}\n",
        f"[user a]\nPassWord = {WORD}\n",
        f"[user a]\nha1_md5 = {WORD}\n",
        f"[usr a]\npasswrod =\npassword = {WORD}\n",
        f"[user a]\npassword =\n  {WORD}\n",
        f"[user a]\npassword = x\n  {WORD}\n  x = {WORD}\n",
        f"[webhook a]\nurl = https://hooks.example.com/{WORD}\n",
        f"# -----BEGIN PRIVATE KEY-----\n# {WORD}\n# -----END PRIVATE KEY-----\n",
        f"[snmp]\ncommunity = {WORD}\n",
        f"[user a]\npassword = \xff{WORD}\n",
    ],
)
def test_a_secret_is_covered_however_it_is_written(text: str) -> None:
    assert WORD not in covered(text.encode("latin-1"))


def test_what_is_no_secret_stays_with_its_line() -> None:
    text = (
        "# a comment\n[user 1001]\ndisplay-name = Anna\npassword = x\n\n[trunk a]\ngateways = 192.0.2.1,\n  192.0.2.2\n"
    )
    assert covered(text.encode()) == text.replace("password = x", "password = (secret)")


async def test_a_running_box_tells_what_it_knows_and_no_secret(tmp_path: Path) -> None:
    async with appliance_in(tmp_path) as appliance:
        (tmp_path / "b.conf").write_text(f"[user 1002]\npassword = {WORD}\n")
        make_certificate(tmp_path / "both.pem")
        appliance.supervisor.alarms.raise_(TRUNK_DOWN, "carrier", "no gateway answers")
        await exchange(appliance, INVITE)
        bundle = tmp_path / "bundle.tar.gz"
        wanted = ["lost-call", "long-gone"]
        file, _, runs = await trio.to_thread.run_sync(write_bundle, tmp_path, tmp_path / "var", bundle, wanted)
    assert (file, runs) == (bundle, True)
    assert bundle.stat().st_mode & 0o077 == 0
    parts = unpacked(bundle.read_bytes())
    assert set(parts) >= {
        "README.txt",
        "alarms.json",
        "calls.json",
        "conf.d/a.conf",
        "conf.d/b.conf",
        "log.txt",
        "machine.txt",
        "metrics.txt",
        "status.json",
        "versions.txt",
    }
    assert json.loads(parts["status.json"])["state"] == "ready"
    assert json.loads(parts["alarms.json"])["active"][0]["subject"] == "carrier"
    assert "jackfield_alarms_active" in parts["metrics.txt"]
    assert "appliance.ready" in parts["log.txt"]
    assert "Jackfield " in parts["versions.txt"]
    ladders = "".join(parts[f"ladders/0{number}.txt"] for number in (1, 2))
    assert "Call-ID lost-call\n\n20" in ladders
    assert f"Call-ID long-gone\n\n{NOTHING_KEPT}" in ladders
    everything = "".join(parts.values())
    assert WORD not in everything
    assert "PRIVATE KEY" not in everything
    for secret in ("passwords.json", "administrators.json", "token.key"):
        assert (tmp_path / "var" / secret).read_bytes() not in everything.encode()


def test_where_nothing_runs_the_rest_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text(CONF)
    file, _, runs = write_bundle(tmp_path, tmp_path / "var", tmp_path / "bundle.tar.gz", [])
    assert not runs
    assert "conf.d/a.conf" in unpacked(file.read_bytes())


def test_it_goes_by_mail_as_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--conf-dir", str(tmp_path), "--state-dir", str(tmp_path / "var")]
    with MailServer() as server:
        section = f"[mail helpers]\nhost = 127.0.0.1\nport = {server.port}\nsecurity = none\n"
        section += "sender = box@example.com\nrecipients = help@example.com\n"
        (tmp_path / "a.conf").write_text(CONF + section)
        assert main(["support", "--mail", "helpers", *where]) == 0
        assert main(["support", "--mail", "helpers", "--to", "olga@example.com", *where]) == 0
        assert main(["support", "--mail", "nobody", *where]) == 2
        assert "known are helpers" in capsys.readouterr().err
        first, second = server.mails
        server.refuse.append("552 too large")
        assert main(["support", "--mail", "helpers", *where]) == 1
    assert (first.recipients, second.recipients) == (("help@example.com",), ("olga@example.com",))
    [file] = first.message.iter_attachments()
    parts = unpacked(file.get_content())
    assert "conf.d/a.conf" in parts
    assert WORD not in "".join(parts.values())
    assert "552 too large" in capsys.readouterr().err


def test_a_name_in_the_bundle_stays_inside_its_folder(tmp_path: Path) -> None:
    parts = still_parts(tmp_path, tmp_path)
    with tarfile.open(fileobj=io.BytesIO(pack(parts, 0.0))) as archive:
        assert {name.partition("/")[0] for name in archive.getnames()} == {"jackfield-support-19700101-000000"}


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'chrony.service loaded failed failed NTP'", "units that failed: chrony.service\n"),
        ("exit 0", "units that failed: none\n"),
        ("exit 1", "units that failed: systemd does not say\n"),
    ],
)
def test_units_that_failed_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str) -> None:
    program = tmp_path / "systemctl"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr("appliance.management.support.UNITS_DEADLINE_S", 60.0)
    assert said in still_parts(tmp_path, tmp_path)["machine.txt"]
