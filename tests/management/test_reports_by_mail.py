"""Reports at a real mail server: what they hold, once for each period, and what becomes of them when it is away."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.config import Settings
from appliance.config.alarm_outlets import MailSecurity, MailSettings
from appliance.config.report import Every, ReportKind, ReportSettings
from appliance.management.report_post import REPORTS_FILE, ReportPost
from appliance.storage.call_record import CallRecord
from appliance.storage.record_question import REPORTS, CallQuestion, Report
from appliance.storage.record_store import RecordStore
from tests.peers.mailserver import MailServer
from tests.storage.kept import Kept

MONDAY = datetime(2026, 11, 16, tzinfo=UTC)
HOUR_S = 3600


class Box:
    """Records of a few calls, a clock to set, and the post of one report."""

    def __init__(self, folder: Path, server: MailServer, every: Every = Every.DAY) -> None:
        self.now = MONDAY.timestamp() + 12 * HOUR_S
        self.told: list[tuple[str, str]] = []
        self.folder = folder
        mail = MailSettings(
            name="noc",
            host="127.0.0.1",
            port=server.port,
            security=MailSecurity.NONE,
            sender="box@example.com",
            recipients=("noc@example.com",),
            timeout_s=5.0,
        )
        report = ReportSettings(
            name="night shift", mail="noc", every=every, recipients=("boss@example.com",), reports=tuple(ReportKind)
        )
        self.settings = Settings(mails={"noc": mail}, reports={"night shift": report})
        self.kept = Kept(folder / "records", RecordStore(folder / "records"))
        self.post = self.again()

    def again(self) -> ReportPost:
        """As after a restart."""
        post = ReportPost(
            self,  # type: ignore[arg-type]
            self.folder,
            lambda: self.settings,
            lambda name, fault: self.told.append((name, fault)),
            lambda: self.now,
        )
        post._load()
        return post

    async def report(self, kind: str, question: CallQuestion, digits: int, zone: object) -> Report:
        return self.kept.ask.report(kind, question, digits, zone)  # type: ignore[arg-type]

    def calls(self, at: datetime, count: int, **more: object) -> None:
        start = int(at.timestamp() * 1000)
        told: dict[str, object] = {"trunk": "carrier-a", "number": "+49301", "status": 200, "source_tenant": "acme"}
        told |= {"answered_ms": start + 2000, "talk_ms": 60_000, "pdd_ms": 900, "mos_callee": 4.2, **more}
        self.kept.keep(
            *(
                CallRecord(serial=f"{start}-{n}", call_id="x", started_ms=start + n, ended_ms=start + 62_000, **told)  # type: ignore[arg-type]
                for n in range(count)
            )
        )


async def test_a_mail_holds_tables_plots_and_files(tmp_path: Path) -> None:
    with MailServer() as server:
        box = Box(tmp_path, server)
        box.calls(MONDAY.replace(hour=9), 30)
        box.calls(MONDAY.replace(hour=10), 10, trunk="carrier<b>", status=503, answered_ms=None, talk_ms=None, cause=34)
        box.calls(MONDAY.replace(day=17, hour=0), 5)  # not of that day
        await box.post.look()
        assert server.mails == []  # the first period ends while it is there
        box.now += 24 * HOUR_S
        await box.post.look()
    [mail] = server.mails
    assert (mail.sender, mail.recipients) == ("box@example.com", ("boss@example.com",))
    assert mail.message["Subject"] == "[jackfield] Calls of 2026-11-16: night shift"
    text = mail.message.get_body(("plain",))
    html = mail.message.get_body(("html",))
    assert text is not None
    assert html is not None
    shown = text.get_content()
    assert re.search(r"all calls +40 +30 +75\.0 +75\.0 +60\.0 +30\.0 +0\.90 +4\.20", shown)
    assert re.search(r"2026-11-16 09:00 +30 +30", shown)
    page = html.get_content()
    assert "carrier&lt;b&gt;" in page
    assert page.count('bgcolor="#17693f"') >= 4
    assert "503, Q.850 34" in page
    assert "style=" in page
    assert "<script" not in page
    files = {part.get_filename(): part.get_content() for part in mail.message.iter_attachments()}
    assert set(files) == {f"2026-11-16-{kind}.csv" for kind in REPORTS}
    [head, row] = csv.reader(io.StringIO(files["2026-11-16-tenants.csv"]))
    assert (head[:2], row[:3]) == (["tenant", "calls"], ["acme", "40", "30"])
    assert {kind.value for kind in ReportKind} == set(REPORTS)


async def test_a_report_goes_out_once_over_restarts_and_only_the_last_one_that_was_missed(tmp_path: Path) -> None:
    with MailServer() as server:
        box = Box(tmp_path, server, Every.WEEK)
        await box.post.look()
        for _ in range(3):  # three weeks of which the box was down
            box.now += 7 * 24 * HOUR_S
        post = box.again()
        await post.look()
        await post.look()
        box.now += HOUR_S
        await box.again().look()
        assert [one.message["Subject"] for one in server.mails] == [
            "[jackfield] Calls of week of 2026-11-30: night shift"
        ]
        box.now += 7 * 24 * HOUR_S
        await box.again().look()
    assert len(server.mails) == 2
    assert len({one.message["Message-ID"] for one in server.mails}) == 2
    assert (tmp_path / REPORTS_FILE).stat().st_mode & 0o077 == 0


async def test_a_mail_that_is_refused_is_tried_again_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with MailServer() as server:
        server.refuse = ["451 try later", "451 try later"]
        box = Box(tmp_path, server)
        await box.post.look()
        box.now += 24 * HOUR_S
        await box.post.look()
        await box.post.look()  # not at once again
        assert len(server.refuse) == 1
        assert "451" in box.told[-1][1]
        monkeypatch.setattr("appliance.management.report_post.trio.current_time", lambda: 1e12)
        await box.post.look()
        assert server.mails == []
        monkeypatch.setattr("appliance.management.report_post.trio.current_time", lambda: 1e13)
        await box.post.look()
    assert len(server.mails) == 1
    assert box.told[-1] == ("night shift", "")
