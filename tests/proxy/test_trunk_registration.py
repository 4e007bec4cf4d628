"""Registering at trunks: refreshed, authenticated, failed over, given back; and the calls that come because of it."""

from __future__ import annotations

import attrs
import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.config.account import CalledNumber, KeepAlive
from appliance.config.dialplan import RouteSettings
from appliance.config.patch import gateway, match, target
from appliance.config.secret import Secret
from appliance.config.settings import Settings
from appliance.proxy.overview import trunks
from appliance.proxy.trunk_registration import RegistrationState, TrunkRegistration
from appliance.sip.build import response_to
from appliance.sip.message import Request
from appliance.transport.options import Target

from .pretend_net import Box, PretendNet, _settings
from .test_trunk_login import Challenger

FIRST, SECOND = "192.0.2.50", "192.0.2.53"


def registering(settings: Settings | None = None, name: str = "carrier", **more: object) -> Settings:
    """Settings in which the trunk registers."""
    settings = settings or _settings()
    values: dict[str, object] = {
        "register": True,
        "username": "we",
        "password": Secret("pass"),
        "realm": ("carrier.example",),
        "domain": "carrier.example",
        "trusted": (),
        "keep_alive": KeepAlive.NONE,
        **more,
    }
    trunk = attrs.evolve(settings.trunks[name], **values)
    return attrs.evolve(settings, trunks={**settings.trunks, name: trunk})


def started(settings: Settings | None = None, net: PretendNet | None = None) -> Box:
    box = Box(settings or registering(), net)
    box.core.trunk_registrations.start()
    return box


def of(box: Box, trunk: str = "carrier") -> TrunkRegistration:
    found = box.core.trunk_registrations.of(trunk)
    assert found is not None
    return found


class Registrar(Challenger):
    """A registrar that wants a password, and then says what it is told to."""

    def request(self, method: str) -> Request:
        """The only new request of that method, perhaps repeated."""
        found = {m.via.branch: m for m in self.peer.take() if isinstance(m, Request) and m.method == method}
        [only] = found.values()
        return only

    def wait(self, longest_s: float = 4000.0) -> None:
        """Until something comes."""
        until = self.box.now + longest_s
        while self.peer.address not in self.box.net.sent:
            assert self.box.now < until
            due = self.box.timers.next_at
            self.box.run(0.5 if due is None else max(0.5, due - self.box.now))

    def take_register(self) -> Request:
        request = self.take("REGISTER", proxy=False)
        self.peer.take()
        return request

    def accept(self, expires: int | None = None, *headers: tuple[str, str]) -> Request:
        """The whole exchange; the binding stands for so many seconds, or for as long as was asked."""
        request = self.take_register()
        self.say(request, 200, ("contact", f"{request.require('contact')};expires={expires or 3600}"), *headers)
        return request

    def say(self, request: Request, status: int, *headers: tuple[str, str]) -> None:
        self.peer.send(response_to(request, status, to_tag="registrartag", headers=headers))


def test_the_registration_says_who_we_are_and_where() -> None:
    box = started()
    request = Registrar(box, FIRST).accept()
    assert request.uri == "sip:carrier.example"
    assert request.require("to") == "<sip:we@carrier.example>"
    assert request.require("from").startswith("<sip:we@carrier.example>;tag=")
    assert request.require("contact") == "<sip:we@192.0.2.9>"
    assert request.require("expires") == "3600"
    assert of(box).state is RegistrationState.REGISTERED
    [shown] = [one for one in trunks(box.core) if one.name == "carrier"]
    assert (shown.account, shown.registration, shown.registrar) == (
        "sip:we@carrier.example",
        "registered",
        f"{FIRST}:5060",
    )


def test_it_is_renewed_well_before_its_end_in_the_same_sequence_and_signed_at_once() -> None:
    box = started()
    registrar = Registrar(box, FIRST, nonce_lifetime_s=3600.0)
    began = box.now
    first = registrar.accept(600)
    registrar.wait()
    assert 600 * 0.69 < box.now - began < 600 * 0.91
    again = registrar.request("REGISTER")
    assert registrar.knows(again, proxy=False)
    assert again.call_id == first.call_id
    assert again.cseq.number == first.cseq.number + 1
    registrar.say(again, 200)
    assert of(box).registered


def test_a_brief_interval_is_asked_for_anew_as_the_registrar_wants_it() -> None:
    box = started(registering(register_expires_s=60.0))
    registrar = Registrar(box, FIRST)
    brief = registrar.take_register()
    registrar.say(brief, 423, ("min-expires", "1800"))
    longer = registrar.request("REGISTER")
    assert longer.require("expires") == "1800"
    registrar.say(longer, 200)
    assert of(box).expires_at == box.core.wall() + 1800


@pytest.mark.parametrize("status", [None, 500, 503, 408, 302])
def test_the_next_registrar_takes_over(status: int | None) -> None:
    gateways = (gateway().read(f"{FIRST}:5060"), gateway().read(f"{SECOND}:5060"))
    box = started(registering(gateways=gateways))
    first, second = Registrar(box, FIRST), Registrar(box, SECOND)
    if status is None:
        box.run(7)
        first.peer.take()
    else:
        first.say(first.take_register(), status, ("contact", "<sip:198.51.100.7>"))
    second.accept(600)
    assert of(box).registrar == f"{SECOND}:5060"
    assert box.peer("198.51.100.7").take() == []
    first.wait()
    renewed = first.take("REGISTER", proxy=False)
    first.say(renewed, 200)
    assert of(box).registrar == f"{FIRST}:5060", "the first is asked first at each renewal"


def test_every_address_behind_a_registrars_name_is_tried() -> None:
    net = PretendNet(names={"reg.carrier.example": [Target("UDP", FIRST, 5060), Target("UDP", SECOND, 5060)]})
    box = started(registering(registrar=(gateway().read("reg.carrier.example"),)), net)
    second = Registrar(box, SECOND)
    second.wait()
    second.accept()
    assert of(box).registered


def test_pauses_grow_while_nobody_takes_us() -> None:
    box = started()
    registrar = Registrar(box, FIRST)
    pauses = []
    asked = box.now
    for _ in range(8):
        registrar.say(registrar.take_register(), 500)
        assert of(box).state is RegistrationState.FAILING
        registrar.wait()
        pauses.append(box.now - asked)
        asked = box.now
    assert all(15 * 2**n <= pause <= 30 * 2**n + 2 for n, pause in enumerate(pauses[:6]))
    assert pauses[-1] <= 1802


def test_retry_after_is_heeded() -> None:
    box = started()
    registrar = Registrar(box, FIRST)
    registrar.say(registrar.take_register(), 503, ("retry-after", "600 (overload)"))
    box.run(299)
    assert registrar.peer.take() == []
    box.run(302)
    assert registrar.peer.take_kinds() != []


@pytest.mark.parametrize("status", [403, 404, 603])
def test_a_refusal_is_not_repeated_soon_and_says_why(status: int) -> None:
    gateways = (gateway().read(f"{FIRST}:5060"), gateway().read(f"{SECOND}:5060"))
    box = started(registering(gateways=gateways))
    told: list[str] = []
    box.core.trunk_registrations.on_change = lambda registration: told.append(registration.reason)
    registrar = Registrar(box, FIRST)
    registrar.say(registrar.take_register(), status)
    assert of(box).state is RegistrationState.REFUSED
    assert f"answers {status}" in told[-1]
    box.run(149)
    assert registrar.peer.take() == []
    assert box.peer(SECOND).take() == []


def test_a_wrong_password_is_tried_once() -> None:
    box = started()
    registrar = Registrar(box, FIRST)
    for _ in range(2):
        registrar.refuse(registrar.request("REGISTER"), proxy=False)
    assert registrar.peer.take() == []
    assert of(box).state is RegistrationState.REFUSED
    assert "does not take our password for realm carrier.example" in of(box).reason


def test_a_challenge_for_another_realm_gets_no_answer() -> None:
    box = started()
    stranger = Registrar(box, FIRST, realm="attacker.example")
    stranger.refuse(stranger.request("REGISTER"), proxy=False)
    assert stranger.peer.take() == []
    assert "none of our realms" in of(box).reason


def test_the_binding_is_taken_back_when_the_box_stops() -> None:
    box = started()
    registrar = Registrar(box, FIRST)
    registrar.accept()
    box.core.trunk_registrations.stop()
    assert len(box.core.trunk_registrations.leaving) == 1
    last = registrar.request("REGISTER")
    assert registrar.knows(last, proxy=False)
    assert last.require("expires") == "0"
    registrar.say(last, 200)
    assert box.core.trunk_registrations.leaving == set()
    box.run(4000)
    assert registrar.peer.take() == []


def test_stopping_does_not_wait_for_a_registrar_that_is_gone() -> None:
    box = started()
    Registrar(box, FIRST).accept()
    box.core.trunk_registrations.stop()
    box.run(3)
    assert box.core.trunk_registrations.leaving == set()


def reload(box: Box, settings: Settings) -> None:
    box.core.configure(settings, ("192.0.2.9", "example.com"), (5060,), box.core.initial._authenticator)


def test_a_reload_leaves_a_registration_alone_unless_its_account_changed() -> None:
    box = started()
    registrar = Registrar(box, FIRST)
    registrar.accept()
    before = of(box)
    reload(box, registering(attempt_timeout_s=7.0))
    assert of(box) is before
    assert registrar.peer.take() == []
    reload(box, registering(contact_user="other"))
    ended, begun = (m for m in registrar.peer.take() if isinstance(m, Request))
    assert (ended.require("expires"), ended.require("contact")) == ("0", "<sip:we@192.0.2.9>")
    assert (begun.require("expires"), begun.require("contact")) == ("3600", "<sip:other@192.0.2.9>")
    reload(box, _settings())
    assert box.core.trunk_registrations.of("carrier") is None
    assert not box.core.trunk_registrations.any


def test_number_blocks_register_without_a_user() -> None:
    box = started(registering(number_block=True))
    registrar = Registrar(box, FIRST)
    request = registrar.accept()
    assert request.require("contact") == "<sip:192.0.2.9;bnc>"
    assert request.require("require") == request.require("proxy-require") == "gin"
    assert of(box).registered
    callee = box.peer("192.0.2.2")
    callee.register("1002")
    registrar.peer.send(registrar.peer.request("INVITE", "sip:1002@192.0.2.9", user="0301234"))
    assert callee.take_kinds() == ["INVITE"]


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_over_a_connection_the_contact_names_the_transport_and_a_broken_one_is_made_anew(transport: str) -> None:
    box = started(registering(registrar=(gateway().read(f"{FIRST}:5060;transport={transport}"),)))
    registrar = Registrar(box, FIRST)
    registrar.peer.flow = box.net.flow_to(transport.upper(), (FIRST, 5060))
    assert registrar.accept().require("contact") == f"<sip:we@192.0.2.9;transport={transport}>"
    box.net.flows.clear()
    box.core.flow_closed(registrar.peer.flow)
    box.run(1.1)
    registrar.peer.flow = box.net.flow_to(transport.upper(), (FIRST, 5060))
    assert registrar.knows(registrar.request("REGISTER"), proxy=False)


def test_keep_alives_hold_the_way_open() -> None:
    box = started(registering(keep_alive=KeepAlive.CRLF, keep_alive_interval_s=20.0))
    Registrar(box, FIRST).accept()
    box.run(100)
    assert 5 <= len(box.net.beats) <= 6
    assert set(box.net.beats) == {(FIRST, 5060)}


def test_a_registrar_that_answers_no_options_is_left() -> None:
    gateways = (gateway().read(f"{FIRST}:5060"), gateway().read(f"{SECOND}:5060"))
    box = started(registering(gateways=gateways, keep_alive=KeepAlive.OPTIONS, keep_alive_interval_s=20.0))
    first, second = Registrar(box, FIRST), Registrar(box, SECOND)
    first.accept()
    first.wait()
    first.say(first.request("OPTIONS"), 405)
    first.wait()
    assert first.peer.take_kinds() == ["OPTIONS"]
    assert second.peer.take() == []
    second.wait()
    second.accept()
    assert of(box).registrar == f"{SECOND}:5060"


def test_outgoing_calls_follow_the_service_route() -> None:
    box = started()
    registrar = Registrar(box, FIRST)
    registrar.accept(3600, ("service-route", "<sip:orig@scscf.carrier.example;lr>"))
    caller = box.peer("192.0.2.1")
    caller.invite("sip:0123@example.com")
    invite = registrar.request("INVITE")
    assert invite.values("route") == ["<sip:orig@scscf.carrier.example;lr>"]
    assert invite.uri == f"sip:0123@{FIRST}:5060"
    assert registrar.knows(invite, proxy=False), "the REGISTER's nonce serves the call too"


# Calls that come in


def incoming(called: CalledNumber = CalledNumber.AUTO) -> tuple[Box, Registrar]:
    settings = registering(called_number=called)
    users = RouteSettings(
        name="10-phones", match=(match().read("aor"),), target=target().read("aor"), callers=("trunks",)
    )
    box = started(attrs.evolve(settings, routes={"10-phones": users}))
    registrar = Registrar(box, FIRST)
    registrar.accept()
    return box, registrar


@pytest.mark.parametrize(
    ("called", "uri", "headers", "to", "rings"),
    [
        (CalledNumber.AUTO, "sip:we@192.0.2.9", (), "<sip:1002@carrier.example>", True),
        (CalledNumber.AUTO, "sip:we@192.0.2.9", (("p-called-party-id", "<sip:1002@c.net>"),), "<sip:x@c.net>", True),
        (CalledNumber.AUTO, "sip:1002@192.0.2.9", (), "<sip:x@carrier.example>", False),
        (CalledNumber.TO, "sip:we@192.0.2.9", (), "<tel:1002>", True),
        (CalledNumber.REQUEST_URI, "sip:we@192.0.2.9", (), "<sip:1002@carrier.example>", False),
        (CalledNumber.P_CALLED_PARTY_ID, "sip:we@192.0.2.9", (), "<sip:1002@carrier.example>", False),
    ],
)  # fmt: skip
def test_calls_to_our_contact_are_the_trunks_and_go_to_the_number_that_was_called(
    called: CalledNumber, uri: str, headers: tuple[tuple[str, str], ...], to: str, rings: bool
) -> None:
    box, registrar = incoming(called)
    callee = box.peer("192.0.2.2")
    callee.register("1002")
    registrar.peer.send(registrar.peer.request("INVITE", uri, user="0301234", to=to, headers=headers))
    assert (callee.take_kinds() == ["INVITE"]) is rings
    if rings:
        [call] = box.core.calls
        assert call.from_trunk == "carrier"


def test_a_stranger_who_knows_our_contact_is_nobodys_trunk() -> None:
    box, _ = incoming()
    stranger, callee = box.peer("198.51.100.7"), box.peer("192.0.2.2")
    callee.register("1002")
    stranger.send(stranger.request("INVITE", "sip:we@192.0.2.9", user="0301234", to="<sip:1002@carrier.example>"))
    assert callee.take() == []


def test_accounts_at_one_address_are_told_apart_by_contact() -> None:
    settings = registering(registering(), "two", username="they", gateways=(gateway().read(f"{FIRST}:5060"),))
    routes = {
        name: RouteSettings(
            name=name, match=(match().read("aor"),), target=target().read(leads), callers=(f"trunk:{trunk}",)
        )
        for name, trunk, leads in (("1", "carrier", "reject:604"), ("2", "two", "reject:606"))
    }
    box = started(attrs.evolve(settings, routes=routes))
    registrar = Registrar(box, FIRST)
    for request in [m for m in registrar.peer.take() if isinstance(m, Request)]:
        registrar.say(request, 200)
    for user, status in (("we", "604"), ("they", "606")):
        call = registrar.peer.request(
            "INVITE", f"sip:{user}@192.0.2.9", user="0301234", call_id=user, to="<sip:1002@carrier.example>"
        )
        registrar.peer.send(call)
        assert registrar.peer.take_kinds()[-1] == status


def test_a_registrar_may_ask_whether_we_are_there() -> None:
    _, registrar = incoming()
    registrar.peer.send(registrar.peer.request("OPTIONS", "sip:we@192.0.2.9", user="ping"))
    assert registrar.peer.take_kinds() == ["200"]


_HEADERS = st.sampled_from(
    ("contact", "expires", "service-route", "min-expires", "retry-after", "www-authenticate", "proxy-authenticate")
)
_VALUES = st.one_of(
    st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), max_size=60),
    st.integers(-1, 10**25).map(str),
    st.sampled_from(
        (
            '<sip:we@192.0.2.9>;expires="x"',
            "<sip:we@192.0.2.9>;expires=0",
            "<sip:we@192.0.2.9",
            "*",
            'Digest realm="carrier.example", nonce="\\\x0b", algorithm=MD5',
            'Digest realm="carrier.example", nonce="x", qop="auth-int", algorithm=SHA-256-sess, stale=true',
        )
    ),
)


@given(
    st.lists(
        st.tuples(
            st.sampled_from((200, 302, 401, 407, 423, 500, 503, 603)),
            st.lists(st.tuples(_HEADERS, _VALUES), max_size=4),
        ),
        max_size=6,
    )
)
@hypothesis.settings(max_examples=150, deadline=None)
def test_whatever_a_registrar_answers_we_go_on(answers: list[tuple[int, list[tuple[str, str]]]]) -> None:
    box = started()
    registrar = Registrar(box, FIRST)
    for status, headers in answers:
        found = [m for m in registrar.peer.take() if isinstance(m, Request) and m.method == "REGISTER"]
        for request in found[-1:]:
            registrar.say(request, status, *headers)
        if not found:
            registrar.wait(86400)
    assert of(box).state in RegistrationState
    assert len([one for one in box.net.sent.get((FIRST, 5060), []) if isinstance(one, Request)]) < 20
