"""Alarms at a real web server and a real mail server: raised and cleared, gathered, tried again, given up, counted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from appliance.alarm_kinds import CERTIFICATE, DISK, TRUNK_DOWN, Severity
from appliance.alarms import Alarms
from appliance.config.alarm_outlets import MailSecurity, MailSettings, WebhookSettings
from appliance.config.secret import Secret
from appliance.metrics import Metrics, render_prometheus
from appliance.outlets.alarm_post import MOST_WAITING, AlarmOutlets, AlarmPost, Notice, Undelivered
from appliance.outlets.couriers import courier_of
from tests.peers.mailserver import MailServer
from tests.peers.tls import make_certificate
from tests.peers.webserver import WebServer

SOON_S = 60.0


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return make_certificate(tmp_path / "both.pem")


@asynccontextmanager
async def outlets_for(*receivers: WebhookSettings | MailSettings) -> AsyncIterator[tuple[Alarms, AlarmOutlets]]:
    alarms = Alarms()
    outlets = AlarmOutlets(alarms, courier_of)
    outlets.configure(
        {one.name: one for one in receivers if isinstance(one, WebhookSettings)},
        {one.name: one for one in receivers if isinstance(one, MailSettings)},
        "box.example.com",
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(outlets.run)
        yield alarms, outlets
        nursery.cancel_scope.cancel()


async def until(condition: Callable[[], object]) -> None:
    with trio.fail_after(SOON_S):
        while not condition():  # noqa: ASYNC110 (what is waited for has no event of its own)
            await trio.sleep(0.01)


async def test_a_web_server_is_told_over_tls_when_it_begins_and_when_it_is_over(certificate: Path) -> None:
    with WebServer(certificate) as server:
        hook = WebhookSettings(
            name="a",
            url=f"{server.url}/alarms?x=1",
            ca=certificate,
            authorization=Secret("Bearer abc"),
            gather_s=0.05,
        )
        async with outlets_for(hook) as (alarms, _):
            alarms.raise_(TRUNK_DOWN, "carrier", "none of 2 gateways is in service")
            alarms.raise_(DISK, "state directory", "91% of the disk are used")
            await until(lambda: server.posted)
            alarms.clear(TRUNK_DOWN, "carrier")
            await until(lambda: len(server.posted) == 2)
    first, second = server.posted
    assert (first.path, first.headers["authorization"]) == ("/alarms?x=1", "Bearer abc")
    assert first.headers["content-type"] == "application/json"
    assert first.body["box"] == "box.example.com"
    assert [(one["change"], one["alarm"], one["subject"]) for one in first.body["changes"]] == [
        ("raised", "trunk-down", "carrier"),
        ("raised", "disk", "state directory"),
    ]
    assert first.body["changes"][0]["severity"] == "critical"
    assert first.body["changes"][0]["remedy"] == TRUNK_DOWN.remedy
    [over] = second.body["changes"]
    assert (over["change"], over["number"]) == ("cleared", first.body["changes"][0]["number"])
    assert over["cleared_at"].endswith("Z")


async def test_a_web_server_that_is_not_well_is_tried_again(autojump_clock: trio.testing.MockClock) -> None:
    said = [Undelivered("503"), Undelivered("503"), None]
    alarms, got = Alarms(), []

    class Moody:
        async def deliver(self, notices: Sequence[Notice], left_out: int) -> None:
            answer = said.pop(0)
            if answer is not None:
                raise answer
            got.extend(notices)

    post = AlarmPost("[webhook a]", WebhookSettings(name="a", url="https://x/"), Moody(), alarms)
    alarms.subscribe(post.take)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(post.run)
        alarms.raise_(TRUNK_DOWN, "carrier", "down")
        await trio.sleep(11)
        assert [one.kind.name for one in alarms.active] == ["trunk-down", "alarm-outlet"]
        await trio.sleep(10)
        assert [one.alarm for one in got] == ["trunk-down"]
        assert [one.kind.name for one in alarms.active] == ["trunk-down"]
        assert (post.delivered, post.given_up) == (1, 0)
        nursery.cancel_scope.cancel()


async def test_a_request_that_is_wrong_is_not_repeated_and_counted() -> None:
    with WebServer() as server:
        server.answers.append(400)
        hook = WebhookSettings(name="a", url=server.url, gather_s=0)
        async with outlets_for(hook) as (alarms, outlets):
            alarms.raise_(TRUNK_DOWN, "carrier", "down")
            post = outlets.posts["[webhook a]"]
            await until(lambda: post.given_up)
            assert "answered 400" in next(one for one in alarms.active if one.kind.name == "alarm-outlet").sentence
            metrics = Metrics()
            outlets.show(metrics)
            assert 'jackfield_alarm_notices_total{outlet="[webhook a]",end="given up"} 1' in render_prometheus(metrics)
            alarms.clear(TRUNK_DOWN, "carrier")
            await until(lambda: post.delivered == 1)
    assert len(server.posted) == 2


async def test_a_server_whose_certificate_nobody_vouches_for_is_told_nothing(certificate: Path) -> None:
    with WebServer(certificate) as server:
        hook = WebhookSettings(name="a", url=server.url, gather_s=0, tries=1)
        async with outlets_for(hook) as (alarms, outlets):
            alarms.raise_(TRUNK_DOWN, "carrier", "down")
            await until(lambda: outlets.posts["[webhook a]"].given_up)
    assert server.posted == []


async def test_a_mail_says_what_is_wrong_and_what_to_do(certificate: Path) -> None:
    with MailServer(certificate, password="right") as server:
        mail = MailSettings(
            name="a",
            host="127.0.0.1",
            port=server.port,
            security=MailSecurity.STARTTLS,
            ca=certificate,
            username="jackfield",
            password=Secret("right"),
            sender="jackfield@example.com",
            recipients=("noc@example.com", "boss@example.com"),
            gather_s=0.05,
        )
        async with outlets_for(mail) as (alarms, _):
            alarms.raise_(TRUNK_DOWN, "Zürich", "none of 2 gateways is in service")
            alarms.raise_(DISK, "state directory", "91% of the disk are used")
            await until(lambda: server.mails)
    [got] = server.mails
    assert (got.sender, got.recipients) == ("jackfield@example.com", ("noc@example.com", "boss@example.com"))
    assert (got.over_tls, got.user) == (True, "jackfield")
    assert got.message["Subject"] == "[box.example.com] raised: critical trunk-down of Zürich and 1 more"
    assert got.message["Auto-Submitted"] == "auto-generated"
    text = got.message.get_content()
    assert "RAISED  critical trunk-down of Zürich" in text
    assert "What to do: See the trunk's gateways" in " ".join(text.split())
    assert "91% of the disk are used" in text


@pytest.mark.parametrize(("answer", "mails"), [("451 later", 1), ("554 never", 0)])
async def test_a_mail_server_that_is_busy_is_asked_again_and_one_that_refuses_is_not(answer: str, mails: int) -> None:
    with MailServer() as server:
        server.refuse.append(answer)
        mail = MailSettings(
            name="a",
            host="127.0.0.1",
            port=server.port,
            security=MailSecurity.NONE,
            sender="jackfield@example.com",
            recipients=("noc@example.com",),
            gather_s=0,
        )
        async with outlets_for(mail) as (alarms, outlets):
            alarms.raise_(TRUNK_DOWN, "carrier", "down")
            post = outlets.posts["[mail a]"]
            await until(lambda: post.delivered + post.given_up)
    assert len(server.mails) == mails
    assert post.given_up == 1 - mails


class Keeps:
    """A courier that keeps what it is given."""

    def __init__(self) -> None:
        self.got: list[tuple[list[Notice], int]] = []

    async def deliver(self, notices: Sequence[Notice], left_out: int) -> None:
        self.got.append((list(notices), left_out))


async def test_a_storm_becomes_a_few_messages(autojump_clock: trio.testing.MockClock) -> None:
    alarms, keeps = Alarms(), Keeps()
    post = AlarmPost("[webhook a]", WebhookSettings(name="a", url="https://x/", most_an_hour=3), keeps, alarms)
    alarms.subscribe(post.take)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(post.run)
        for number in range(200):
            alarms.raise_(TRUNK_DOWN, str(number), "down")
            await trio.sleep(15)
        assert len(keeps.got) == 3
        await trio.sleep(3600)
        nursery.cancel_scope.cancel()
    assert sum(len(notices) for notices, _ in keeps.got) == 200
    assert len(keeps.got) <= 6


async def test_who_is_away_for_long_costs_a_bounded_queue(autojump_clock: trio.testing.MockClock) -> None:
    alarms, keeps = Alarms(), Keeps()
    post = AlarmPost("[webhook a]", WebhookSettings(name="a", url="https://x/"), keeps, alarms)
    alarms.subscribe(post.take)
    for _ in range(MOST_WAITING):
        alarms.raise_(TRUNK_DOWN, "carrier", "down")
        alarms.clear(TRUNK_DOWN, "carrier")
    assert (post.waiting, post.left_out) == (MOST_WAITING, MOST_WAITING)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(post.run)
        await trio.sleep(60)
        nursery.cancel_scope.cancel()
    assert keeps.got[0][1] == MOST_WAITING


async def test_only_what_was_asked_for_is_told_and_its_end(autojump_clock: trio.testing.MockClock) -> None:
    alarms, keeps = Alarms(), Keeps()
    settings = WebhookSettings(
        name="a", url="https://x/", alarms=("trunk-down", "certificate"), severity=Severity.MINOR
    )
    post = AlarmPost("[webhook a]", settings, keeps, alarms)
    alarms.subscribe(post.take)
    alarms.raise_(DISK, "state directory", "full")
    alarms.raise_(CERTIFICATE, "[web]", "29 days", Severity.WARNING)
    alarms.raise_(CERTIFICATE, "[web]", "6 days", Severity.MINOR)
    alarms.clear(CERTIFICATE, "[web]")
    alarms.raise_(CERTIFICATE, "[web]", "29 days", Severity.WARNING)
    alarms.clear(CERTIFICATE, "[web]")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(post.run)
        await trio.sleep(20)
        nursery.cancel_scope.cancel()
    [(notices, _)] = keeps.got
    assert [(one.change, one.severity) for one in notices] == [("changed", "minor"), ("cleared", "minor")]
