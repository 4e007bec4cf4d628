"""The audit log: bounded, in order, for the owner's eyes, and read through whatever a power cut left."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import trio

from appliance.accounts.audit import AUDIT_FILE, FILES_KEPT, Audit, last_entries
from appliance.cli import main
from appliance.config.loader import load_settings


async def test_entries_come_back_the_latest_first_and_old_files_go(tmp_path: Path) -> None:
    audit = Audit(tmp_path, wall=lambda: 1_700_000_000.0, file_bytes=1000)
    for number in range(100):
        await audit.write(who="anna", source="192.0.2.1", what="ban", subject=str(number), result="done")
    found = await audit.last(20)
    assert [one.subject for one in found] == [str(number) for number in range(99, 79, -1)]
    files = await trio.to_thread.run_sync(lambda: sorted(tmp_path.iterdir()))
    assert len(files) == FILES_KEPT + 1
    assert all(file.stat().st_size <= 1000 and file.stat().st_mode & 0o077 == 0 for file in files)


async def test_a_broken_line_hides_no_other_and_long_names_are_cut(tmp_path: Path) -> None:
    audit = Audit(tmp_path)
    await audit.write(who="a" * 10_000, source="192.0.2.1", what="sign-in", result="refused")
    with (tmp_path / AUDIT_FILE).open("ab") as file:
        file.write(b'{"at": 1, "who"\n[]\n')
    await audit.write(who="anna\n\x1b[2J", source="192.0.2.1", what="sign-in", result="done")
    assert [len(one.who) for one in last_entries(tmp_path, 10)] == [9, 300]


def test_the_commands_print_a_section_that_loads_and_what_was_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a-long-password\n"))
    assert main(["password", "olga", "--role", "operator"]) == 0
    section = capsys.readouterr().out
    (tmp_path / "a.conf").write_text("[listener udp]\ntransport = udp\nport = 5060\n" + section)
    account = load_settings(tmp_path).accounts["olga"]
    assert account.role == "operator"
    assert account.password_hash is not None
    assert "argon2" not in repr(account)
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    assert main(["password"]) == 1
    assert main(["audit", "--state-dir", str(tmp_path)]) == 0
    assert "Nothing is written yet." in capsys.readouterr().out
