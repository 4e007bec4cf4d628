"""The scenarios of this folder pass through an independent proxy: what they ask of Jackfield is SIP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.kamailio import Kamailio
from tests.peers.processes import PeerError
from tests.peers.sipp import STUBBORN, Sipp
from tests.sipp.test_sipp_calls import LOSSY, LOSSY_CALLS

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def kamailio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kamailio]:
    with Kamailio(tmp_path_factory.mktemp("kamailio")) as proxy:
        yield proxy


def _register(kamailio: Kamailio, directory: Path, user: str, port: int, password: str = "secret") -> None:
    keys = {"domain": kamailio.domain, "contact": f"sip:{user}@127.0.0.1:{port}", "expires": "60"}
    target = ("127.0.0.1", kamailio.port)
    with Sipp("register", directory, target=target, service=user, user=(user, password), keys=keys) as phone:
        phone.finish()


def _keys(kamailio: Kamailio) -> dict[str, str]:
    return {"domain": kamailio.domain, "caller": "caller"}


def test_register_and_call_end_to_end(kamailio: Kamailio, tmp_path: Path) -> None:
    with Sipp("answer", tmp_path, service="2001") as callee:
        _register(kamailio, tmp_path, "2001", callee.port)
        target = ("127.0.0.1", kamailio.port)
        with Sipp("call", tmp_path, target=target, service="2001", keys=_keys(kamailio)) as caller:
            caller.finish()
        callee.finish()


def test_wrong_password_makes_the_register_scenario_fail(kamailio: Kamailio, tmp_path: Path) -> None:
    with pytest.raises(PeerError, match="FailedCall"):
        _register(kamailio, tmp_path, "2002", 9, password="guess")


def test_peer_that_answers_may_hang_up(kamailio: Kamailio, tmp_path: Path) -> None:
    with Sipp("answer_and_hang_up", tmp_path, service="2003", options=["-d", "100"]) as callee:
        _register(kamailio, tmp_path, "2003", callee.port)
        target = ("127.0.0.1", kamailio.port)
        with Sipp("call_ended_by_peer", tmp_path, target=target, service="2003", keys=_keys(kamailio)) as caller:
            caller.finish()
        callee.finish()


def test_cancel_reaches_the_ringing_phone(kamailio: Kamailio, tmp_path: Path) -> None:
    with Sipp("ring_until_cancelled", tmp_path, service="2004") as callee:
        _register(kamailio, tmp_path, "2004", callee.port)
        target = ("127.0.0.1", kamailio.port)
        with Sipp("call_cancelled", tmp_path, target=target, service="2004", keys=_keys(kamailio)) as caller:
            caller.finish()
        callee.finish()


def test_fork_is_cancelled_where_it_was_not_answered(kamailio: Kamailio, tmp_path: Path) -> None:
    with (
        Sipp("answer", tmp_path, service="2005", options=["-d", "300"]) as answering,
        Sipp("ring_until_cancelled", tmp_path, service="2005") as ringing,
    ):
        _register(kamailio, tmp_path, "2005", answering.port)
        _register(kamailio, tmp_path, "2005", ringing.port)
        target = ("127.0.0.1", kamailio.port)
        with Sipp("call", tmp_path, target=target, service="2005", keys=_keys(kamailio)) as caller:
            caller.finish()
        answering.finish()
        ringing.finish()


def test_second_gateway_answers_when_the_first_refuses(tmp_path: Path) -> None:
    with (
        Sipp("refuse", tmp_path, words={"status": "503 Service Unavailable"}) as full,
        Sipp("answer", tmp_path) as spare,
        Kamailio(tmp_path, gateways=(f"sip:127.0.0.1:{full.port}", f"sip:127.0.0.1:{spare.port}")) as kamailio,
    ):
        target = ("127.0.0.1", kamailio.port)
        with Sipp("call", tmp_path, target=target, service="9001", keys=_keys(kamailio)) as caller:
            caller.finish()
        full.finish()
        spare.finish()


def test_refusal_is_told_to_the_caller(kamailio: Kamailio, tmp_path: Path) -> None:
    with Sipp("refuse", tmp_path, service="2006", words={"status": "486 Busy Here"}) as callee:
        _register(kamailio, tmp_path, "2006", callee.port)
        target = ("127.0.0.1", kamailio.port)
        with Sipp(
            "call_refused",
            tmp_path,
            target=target,
            service="2006",
            keys=_keys(kamailio),
            words={"final": "486"},
        ) as caller:
            caller.finish()
        callee.finish()


def test_lost_messages_are_sent_again(tmp_path: Path) -> None:
    with (
        Kamailio(tmp_path / "kamailio", patience_ms=30_000) as kamailio,
        Sipp("answer", tmp_path, service="2007", calls=LOSSY_CALLS, words=LOSSY, options=STUBBORN) as callee,
    ):
        _register(kamailio, tmp_path, "2007", callee.port)
        with Sipp(
            "call",
            tmp_path,
            target=("127.0.0.1", kamailio.port),
            service="2007",
            calls=LOSSY_CALLS,
            rate=30,
            keys=_keys(kamailio),
            options=["-lost", "10", *STUBBORN],
        ) as caller:
            assert caller.finish()["Retransmissions"] > 0
