"""Signed caller numbers: what leaves signed, what comes in marked or refused, and who waits for a certificate."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.config.dialplan import TrunkSettings
from appliance.config.kinds import network
from appliance.config.settings import Settings
from appliance.config.stir import Attestation, Signing, StirSettings, Verification
from appliance.config.stir_material import StirMaterial
from appliance.sip.message import Request
from appliance.sip.passport import Passport, read_identity_untrusted, sign
from tests.stir_certificates import NOW, Holder, pem, tn_auth_list

from .pretend_net import Box, Peer, _settings

ROOT = Holder.of_authority()
OURS, THEIRS = ROOT.issue(), ROOT.issue(name="other provider")
URL = "https://cert.example.org/theirs.pem"
CALLER, CALLED = "+12025550100", "+442079460000"
CARRIER, PBX = "192.0.2.50", "192.0.2.60"


def configuration(
    *, sign: Signing = Signing.AUTO, verify: Verification = Verification.MARK, **stir: object
) -> Settings:
    """Users 1001 and 1002 call out by the carrier, which signs and is signed to, and so does an exchange."""
    settings = _settings()
    carrier = attrs.evolve(settings.trunks["carrier"], sign=sign, verify=verify)
    exchange = TrunkSettings(name="pbx", trusted=(network().read(PBX),), attestation=Attestation.B)
    one = attrs.evolve(settings.users["1001"], number=CALLER)
    route = attrs.evolve(settings.routes["20-carrier"], callers=("users", "trunks"))
    return attrs.evolve(
        settings,
        trunks={**settings.trunks, "carrier": carrier, "pbx": exchange},
        users={**settings.users, "1001": one},
        routes={**settings.routes, route.name: route},
        stir=StirSettings(x5u="https://cert.example.com/ours.pem", **stir),  # type: ignore[arg-type]
    )


class Asked:
    """The fetcher's place: notes what it is asked for."""

    def __init__(self) -> None:
        self.urls: list[str] = []

    def __call__(self, url: str) -> bool:
        self.urls.append(url)
        return True


def box_of(settings: Settings) -> tuple[Box, Asked]:
    box = Box(settings)
    box.now = NOW.timestamp() - 1_700_000_000
    configure(box, settings)
    asked = Asked()
    box.core.stir.store.fetch = asked
    return box, asked


def configure(box: Box, settings: Settings) -> None:
    box.core.stir.configure(settings, StirMaterial(OURS.key, (ROOT.certificate,)))


def signed(
    box: Box,
    *,
    holder: Holder = THEIRS,
    orig: str = CALLER,
    dest: str = CALLED,
    age_s: float = 0,
    url: str = URL,
) -> str:
    iat = int(box.core.wall() - age_s)
    return sign(Passport(orig[1:], (dest[1:],), iat, url, "A", "123e4567-e89b-42d3-a456-426614174000"), holder.key)


def from_carrier(box: Box, *identities: str, call_id: str = "in") -> Peer:
    """The carrier calls user 1002, for the number that the user is known by there."""
    carrier = box.peer(CARRIER)
    request = carrier.request("INVITE", "sip:1002@example.com", call_id=call_id)
    request.set("from", f"<sip:{CALLER}@carrier.example>;tag=x")
    request.set("to", f"<sip:{CALLED}@example.com>")
    request.append(
        "p-asserted-identity", f"<sip:{CALLER};verstat=TN-Validation-Passed@carrier.example>, <tel:{CALLER}>"
    )
    for identity in identities:
        request.append("identity", identity)
    carrier.send(request)
    return carrier


def seen(box: Box) -> Request:
    return box.peer("192.0.2.2").take_request("INVITE")


@pytest.mark.parametrize(
    ("who", "attest"), [("1001", "A"), ("1002", "B"), ("pbx", "B")], ids=["own number", "another number", "trunk"]
)
def test_a_call_out_is_signed_by_what_is_known_of_the_caller(who: str, attest: str) -> None:
    box, _ = box_of(configuration())
    carrier = box.peer(CARRIER)
    caller = box.peer(PBX if who == "pbx" else "192.0.2.1")
    request = caller.request("INVITE", "sip:0123@example.com", user=who)
    request.set("to", f"<sip:{CALLED}@example.com>")
    if who == "pbx":
        request.append("p-asserted-identity", f"<tel:{CALLER}>")
    caller.send(request)
    if who != "pbx":
        again = caller.authorized(caller.take_response(407), request, who)
        again.append("p-preferred-identity", f"<sip:{CALLER}@example.com>")
        if who == "1002":
            again.set("from", "<sip:1002@example.com>;tag=x")
        caller.send(again)
    invite = carrier.take_request("INVITE")
    identity = invite.get("identity")
    if who == "1002":
        assert identity is None  # 1002 is no telephone number
        return
    assert identity is not None
    found = read_identity_untrusted(identity)
    assert found is not None
    assert found.is_signed_with(OURS.key.public_key())
    assert (found.passport.orig, found.passport.dest, found.passport.attest) == (CALLER[1:], (CALLED[1:],), attest)
    assert found.passport.iat == int(box.core.wall())
    assert "date" in invite


def test_a_call_that_is_signed_already_keeps_its_signature_alone() -> None:
    box, _ = box_of(configuration())
    pbx = box.peer(PBX)
    request = pbx.request("INVITE", "sip:0123@example.com", user=CALLER)
    identity = signed(box)
    request.append("identity", identity)
    pbx.send(request)
    assert box.peer(CARRIER).take_request("INVITE").get_all("identity") == [identity]


def test_a_good_signature_marks_the_call_once_its_certificate_is_known() -> None:
    box, asked = box_of(configuration())
    box.peer("192.0.2.2").register("1002")
    from_carrier(box, signed(box))
    first = seen(box)
    assert first.get("x-identity-verdict") == 'No-TN-Validation;cause="the certificate is not known yet"'
    assert asked.urls == [URL]
    box.core.stir.store.fetched(URL, pem(THEIRS.certificate), None)
    from_carrier(box, signed(box), call_id="second")
    second = seen(box)
    assert second.get("x-identity-verdict") == (
        'TN-Validation-Passed;attest=A;origid="123e4567-e89b-42d3-a456-426614174000"'
    )
    assert second.values("p-asserted-identity") == [
        f"<sip:{CALLER};verstat=TN-Validation-Passed@carrier.example>",
        f"<tel:{CALLER};verstat=TN-Validation-Passed>",
    ]
    assert asked.urls == [URL]
    assert box.core.stir.results["TN-Validation-Passed"] == box.core.stir.results["No-TN-Validation"] == 1
    [call, *_] = box.core.calls
    assert "caller's number: No-TN-Validation" in call.route


def known(box: Box, holder: Holder = THEIRS, *more: Holder) -> None:
    box.core.stir.store.look_up(URL)
    box.core.stir.store.fetched(URL, pem(holder.certificate, *(one.certificate for one in more)), None)


@pytest.mark.parametrize(
    ("case", "status"),
    [
        ("good", 0),
        ("unsigned", 428),
        ("stale", 403),
        ("of the future", 403),
        ("another caller", 438),
        ("another called", 438),
        ("broken", 438),
        ("another key", 438),
        ("not https", 436),
        ("unfetched", 436),
        ("untrusted", 437),
        ("not for the number", 437),
        ("one of two good", 0),
        ("garbage before the good one", 0),
    ],
)
def test_a_trunk_that_must_sign_is_refused_by_the_code_of_the_fault(case: str, status: int) -> None:
    box, _ = box_of(configuration(verify=Verification.REQUIRE, wait_ms=1000.0))
    box.peer("192.0.2.2").register("1002")
    stranger = Holder.of_authority("stranger").issue()
    narrow = ROOT.issue(tn_auth_list(numbers=("4930123456",)))
    match case:
        case "untrusted":
            known(box, stranger)
        case "not for the number":
            known(box, narrow)
        case "unfetched":
            box.core.stir.store.look_up(URL)
            box.core.stir.store.failed(URL, "nothing came")
        case _:
            known(box)
    identities = {
        "unsigned": (),
        "stale": (signed(box, age_s=120),),
        "of the future": (signed(box, age_s=-120),),
        "another caller": (signed(box, orig="+12025550199"),),
        "another called": (signed(box, dest="+12025550199"),),
        "broken": (signed(box).replace("ppt=shaken", "ppt=shaken;alg=HS256"),),
        "another key": (signed(box, holder=stranger),),
        "not https": (signed(box, url="http://cert.example.org/theirs.pem"),),
        "untrusted": (signed(box, holder=stranger),),
        "not for the number": (signed(box, holder=narrow),),
        "one of two good": (signed(box, age_s=500), signed(box)),
        "garbage before the good one": ("a.b.c;info=<x>;ppt=shaken", signed(box)),
    }.get(case, (signed(box),))
    carrier = from_carrier(box, *identities)
    if status:
        assert carrier.take_kinds() == [str(status)]
        assert box.peer("192.0.2.2").take() == []
    else:
        assert (seen(box).get("x-identity-verdict") or "").startswith("TN-Validation-Passed")


def test_a_call_waits_for_a_certificate_no_longer_than_it_may() -> None:
    box, _ = box_of(configuration(wait_ms=500.0))
    box.peer("192.0.2.2").register("1002")
    from_carrier(box, signed(box))
    assert box.peer("192.0.2.2").take() == []
    from_carrier(box, call_id="unsigned, so nothing to wait for")
    assert seen(box).get("x-identity-verdict") == "No-TN-Validation"
    box.run(0.6)
    [first] = [m for m in box.peer("192.0.2.2").take() if m.call_id == "in"]
    assert "not known yet" in (first.get("x-identity-verdict") or "")
    box.core.stir.store.fetched(URL, pem(THEIRS.certificate), None)
    assert [m for m in box.peer("192.0.2.2").take() if m.call_id == "in"] == []


def test_a_call_goes_on_as_soon_as_the_certificate_comes() -> None:
    box, _ = box_of(configuration(wait_ms=500.0, verify=Verification.REQUIRE))
    box.peer("192.0.2.2").register("1002")
    carrier = from_carrier(box, signed(box))
    box.run(0.1)
    box.core.stir.store.fetched(URL, pem(THEIRS.certificate), None)
    assert (seen(box).get("x-identity-verdict") or "").startswith("TN-Validation-Passed")
    box.run(1)
    assert box.peer("192.0.2.2").take() == []
    assert carrier.take_kinds() == ["100"]


def test_a_call_given_up_while_it_waits_goes_nowhere() -> None:
    box, _ = box_of(configuration(wait_ms=500.0))
    box.peer("192.0.2.2").register("1002")
    carrier = box.peer(CARRIER)
    request = carrier.request("INVITE", "sip:1002@example.com", call_id="x", headers=(("identity", signed(box)),))
    request.set("from", f"<sip:{CALLER}@carrier.example>;tag=x")
    request.set("to", f"<sip:{CALLED}@example.com>")
    carrier.send(request)
    carrier.cancel(request)
    assert carrier.take_kinds() == ["200", "487"]
    box.core.stir.store.fetched(URL, pem(THEIRS.certificate), None)
    box.run(1)
    assert box.peer("192.0.2.2").take() == []


def test_a_dead_server_costs_one_question_in_a_while_and_the_old_certificate_serves() -> None:
    box, asked = box_of(configuration())
    store = box.core.stir.store
    assert store.look_up(URL) is None
    assert store.look_up(URL) is None
    store.failed(URL, "nothing came within 5 s")
    for _ in range(3):
        found = store.look_up(URL)
        assert found is not None
        assert not found.fetched
    assert asked.urls == [URL]
    box.now += 301
    store.look_up(URL)
    store.fetched(URL, pem(THEIRS.certificate), 3600.0)
    box.now += 3601
    found = store.look_up(URL)
    assert found is not None
    assert found.key is not None
    store.failed(URL, "gone")
    found = store.look_up(URL)
    assert found is not None
    assert found.key is not None
    assert len(asked.urls) == 3
    box.now += 31 * 86400
    found = store.look_up(URL)
    assert found is not None
    assert found.key is None


def test_other_authorities_after_a_reload_believe_other_certificates() -> None:
    box, _ = box_of(configuration())
    known(box)
    box.core.stir.configure(box.settings, StirMaterial(OURS.key, (Holder.of_authority("new").certificate,)))
    found = box.core.stir.store.look_up(URL)
    assert found is not None
    assert found.key is None
    configure(box, box.settings)
    found = box.core.stir.store.look_up(URL)
    assert found is not None
    assert found.key is not None


@pytest.mark.parametrize(
    "url",
    [
        "http://cert.example.org/a.pem",
        "https://user@cert.example.org/a.pem",
        "https://cert.elsewhere.example/a.pem",
        "https://127.0.0.1/a.pem",
        "https://[::1/",
        "https://cert.example.org:99999/",
        "file:///etc/passwd",
        "https://cert.example.org/" + "a" * 600,
    ],
)
def test_what_may_not_be_fetched_is_not_asked_for(url: str) -> None:
    box, asked = box_of(configuration(hosts=("*.example.org",)))
    found = box.core.stir.store.look_up(url)
    assert found is not None
    assert found.key is None
    assert asked.urls == []


def test_many_urls_are_bounded() -> None:
    box, _ = box_of(configuration())
    store = box.core.stir.store
    for number in range(3000):
        store.look_up(f"https://cert.example.org/{number}")
    assert len(store._entries) <= 2000


BROKEN = st.lists(st.tuples(st.integers(0, 3000), st.binary(max_size=6), st.integers(0, 6)), min_size=1, max_size=4)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(BROKEN)
def test_broken_signatures_hurt_nobody(edits: list[tuple[int, bytes, int]]) -> None:
    box, _ = box_of(configuration(wait_ms=500.0))
    known(box)
    carrier = box.peer(CARRIER)
    request = carrier.request("INVITE", "sip:0123@example.com", headers=(("identity", signed(box)),))
    request.append("p-asserted-identity", f'"A" <sip:{CALLER};verstat=x@carrier.example>, <tel:{CALLER};verstat=y>')
    message = request.to_bytes()
    for at, put, cut in edits:
        at %= len(message)
        message = message[:at] + put + message[at + cut :]
    box.core.receive(message, carrier.flow)
    while box.core.work():
        pass
    box.run(100)
