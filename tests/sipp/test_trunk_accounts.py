"""A real carrier with accounts: signed calls, registration and its failover, certificates on both sides."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.control.asking import ask
from tests.peers.appliance import Appliance
from tests.peers.kamailio import Carrier, CarrierTls
from tests.peers.ports import free_port
from tests.peers.processes import wait_until
from tests.peers.sipp import UNTIL_TOLD, Sipp
from tests.transport.certificates import Authority

pytestmark = pytest.mark.peer

ACCOUNT = {"username": "we", "password": "pass", "realm": "carrier.example", "domain": "carrier.example"}


def start(directory: Path, trunk: dict[str, object], listener: dict[str, object] | None = None) -> Appliance:
    """The box with its trunk; `listener` holds more settings of the one for TLS."""
    return Appliance(
        directory / "box",
        users=["1001", "1002"],
        sections={
            "appliance": {"domains": "example.com", "drain_deadline": "2 s"},
            "trunk carrier": {**ACCOUNT, **trunk},
            "listener tls": listener or {},
            "route 10-out": {"match": "prefix:9", "target": "trunk:carrier"},
            "route 50-users": {"match": "aor", "target": "aor", "callers": "users, trunks"},
        },
    )


def call_out(box: Appliance, directory: Path, inner: int) -> None:
    """A call of a phone through the carrier to whoever answers behind it."""
    keys = {"domain": "example.com", "caller": "1001"}
    user = ("1001", box.passwords["1001"])
    with (
        Sipp("answer", directory, port=inner) as callee,
        Sipp(
            "call_authenticated",
            directory,
            target=box.address(),
            service="9123",
            user=user,
            keys=keys,
        ) as caller,
    ):
        caller.finish()
        callee.finish()


def call_in(box: Appliance, carrier: Carrier, directory: Path, inner: int) -> None:
    """A call from behind the carrier to our number 1002 there, which rings a phone of that name."""
    phone_user = ("1002", box.passwords["1002"])
    with Sipp("answer", directory, service="1002") as phone:
        keys = {"domain": "example.com", "contact": f"sip:1002@127.0.0.1:{phone.port}", "expires": "120"}
        with Sipp("register", directory, target=box.address(), service="1002", user=phone_user, keys=keys) as asking:
            asking.finish()
        keys = {"domain": "carrier.example", "caller": "0301234"}
        target = ("127.0.0.1", carrier.port)
        with Sipp("call", directory, port=inner, target=target, service="1002", keys=keys) as caller:
            caller.finish()
        phone.finish()


def registration(box: Appliance) -> str:
    trunks = ask(box.state_dir, "status")["trunks"]
    assert isinstance(trunks, list)
    [one] = trunks
    assert isinstance(one, dict)
    return str(one["registration"])


@pytest.fixture
def inner() -> int:
    return free_port()


@pytest.mark.parametrize(("transport", "algorithm"), [("udp", "MD5"), ("tcp", "SHA-256")])
def test_calls_are_signed_and_the_next_one_before_it_is_asked(
    tmp_path: Path, inner: int, transport: str, algorithm: str
) -> None:
    with Carrier(tmp_path / "carrier", inner=inner, algorithm=algorithm) as carrier:
        gateway = f"127.0.0.1:{carrier.port};transport={transport}"
        with start(tmp_path, {"gateways": gateway}) as box:
            for number in range(2):
                call_out(box, tmp_path / f"{number}", inner)
        assert carrier.lines("challenged") == ["INVITE 2"], "the nonce of the first INVITE serves all that follows"
        assert sorted(carrier.lines("taken")) == ["BYE 6", "BYE 6", "INVITE 2", "INVITE 3"]


def test_a_nonce_that_runs_out_in_mid_call_costs_one_more_challenge(tmp_path: Path, inner: int) -> None:
    with Carrier(tmp_path / "carrier", inner=inner, nonce_expire_s=3) as carrier:
        with start(tmp_path, {"gateways": f"127.0.0.1:{carrier.port};transport=udp"}) as box:
            keys = {"domain": "example.com", "caller": "1001"}
            user = ("1001", box.passwords["1001"])
            with (
                Sipp("answer", tmp_path, port=inner) as callee,
                Sipp(
                    "call_authenticated",
                    tmp_path,
                    target=box.address(),
                    service="9123",
                    user=user,
                    keys=keys,
                    options=["-d", "6000"],
                ) as caller,
            ):
                caller.finish()
                callee.finish()
        assert carrier.lines("challenged") == ["INVITE 2", "BYE 6"]
        assert carrier.lines("taken") == ["INVITE 3", "BYE 7"]


def test_a_box_that_dies_in_mid_call_knows_the_numbers_and_the_password_when_it_is_back(
    tmp_path: Path, inner: int
) -> None:
    with Carrier(tmp_path / "carrier", inner=inner) as carrier:
        with start(tmp_path, {"gateways": f"127.0.0.1:{carrier.port};transport=udp"}) as box:
            keys = {"domain": "example.com", "caller": "1001"}
            user = ("1001", box.passwords["1001"])
            with (
                Sipp("answer", tmp_path, port=inner) as callee,
                Sipp(
                    "call_authenticated",
                    tmp_path,
                    target=box.address(),
                    service="9123",
                    user=user,
                    keys=keys,
                    words=UNTIL_TOLD,
                ) as caller,
            ):
                callee.expect_message(r"^ACK ")
                box.kill9()
                box.restart()
                caller.go_on()
                caller.finish()
                callee.finish()
        assert carrier.lines("challenged") == ["INVITE 2", "BYE 6"]
        assert carrier.lines("taken") == ["INVITE 3", "BYE 7"]


def test_the_second_registrar_takes_over_when_the_first_is_killed(tmp_path: Path, inner: int) -> None:
    with Carrier(tmp_path / "one", inner=inner) as first, Carrier(tmp_path / "two", inner=inner) as second:
        gateways = ", ".join(f"127.0.0.1:{one.port};transport=tcp" for one in (first, second))
        with start(tmp_path, {"gateways": gateways, "register": "yes"}) as box:
            wait_until(lambda: registration(box) == "registered", "the registration")
            call_in(box, first, tmp_path / "first", inner)
            call_out(box, tmp_path / "out", inner)
            first.program.stop(grace_s=0.0)
            second.program.expect_log("taken REGISTER")
            wait_until(lambda: registration(box) == "registered", "the registration at the other")
            call_in(box, second, tmp_path / "second", inner)
            taken = len(second.lines("taken"))
            box.stop()
            wait_until(lambda: len(second.lines("taken")) > taken, "the binding to be taken back")


def test_a_carrier_with_mutual_tls(tmp_path: Path, inner: int) -> None:
    (tmp_path / "ca").mkdir()
    authority = Authority(tmp_path / "ca")
    theirs = CarrierTls(authority.issue("sip:carrier.example", "127.0.0.1"), authority.ca)
    with Carrier(tmp_path / "carrier", inner=inner, tls=theirs) as carrier:
        trunk = {
            "gateways": f"127.0.0.1:{carrier.tls_port};transport=tls",
            "register": "yes",
            "tls-certificate": authority.issue("sip:example.com"),
            "tls-ca": authority.ca,
            "tls-verify-name": "carrier.example",
            "tls-identity": "carrier.example",
        }
        ours = {
            "certificate": authority.issue("sip:example.com"),
            "client-certificate": "required",
            "client-ca": authority.ca,
        }
        with start(tmp_path, trunk, ours) as box:
            wait_until(lambda: registration(box) == "registered", "the registration over TLS")
            call_out(box, tmp_path / "out", inner)
            call_in(box, carrier, tmp_path / "in", inner)
