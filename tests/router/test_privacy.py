"""Identity and privacy at the edge of trust (RFC 3323, RFC 3325)."""

from __future__ import annotations

import pytest

from appliance.router.privacy import ANONYMOUS, Identities, assert_identity, leave_trust
from appliance.sip.errors import Rejected
from appliance.sip.message import Request

ANN = Identities(("sip:+442079460001@example.com", "sip:+442079460002@example.com", "sip:1001@example.com"), 'Ann "A"')


def invite(*headers: tuple[str, str]) -> Request:
    return Request.make("INVITE", "sip:1@a.example", [("from", '"Ann" <sip:1001@example.com>;tag=a'), *headers])


@pytest.mark.parametrize(
    ("preferred", "number"),
    [
        ([], "+442079460001"),
        (["<sip:+442079460002@anywhere.example>"], "+442079460002"),
        (["<tel:+442079460002>"], "+442079460002"),
        (["<sip:+15550100@example.com>"], "+442079460001"),
        (["not an address"], "+442079460001"),
        (["<sip:+15550100@example.com>, <sip:1001@example.com>"], "1001"),
    ],
)
def test_a_user_is_asserted_as_what_he_prefers_among_what_he_is(preferred: list[str], number: str) -> None:
    request = invite(*(("p-preferred-identity", value) for value in preferred))
    assert_identity(request, ANN)
    assert request.get_all("p-asserted-identity") == [f'"Ann \\"A\\"" <sip:{number}@example.com>']
    assert "p-preferred-identity" not in request


def test_what_a_trusted_peer_has_asserted_already_stays() -> None:
    request = invite(("p-asserted-identity", "<sip:+1@example.net>"))
    assert assert_identity(request, ANN) == ""
    assert request.get_all("p-asserted-identity") == ["<sip:+1@example.net>"]


HEADERS = (
    ("p-preferred-identity", "<sip:1001@example.com>"),
    ("p-asserted-identity", "<sip:+1@example.net>"),
    ("subject", "pay rise"),
    ("user-agent", "Ann's phone"),
    ("diversion", "<sip:2@example.com>"),
)


@pytest.mark.parametrize(
    ("privacy", "keep", "gone", "anonymous", "left"),
    [
        (None, True, set(), False, None),
        (None, False, {"p-asserted-identity"}, False, None),
        ("none", False, set(), False, "none"),
        ("id", True, {"p-asserted-identity"}, False, None),
        ("ID; critical", True, {"p-asserted-identity"}, False, None),
        ("user", True, {"p-asserted-identity", "subject", "user-agent", "diversion"}, True, None),
        ("user,id", False, {"p-asserted-identity", "subject", "user-agent", "diversion"}, True, None),
        ("history", True, {"diversion"}, False, None),
        ("header", True, {"p-asserted-identity"}, False, "header"),
        ("session;id", True, {"p-asserted-identity"}, False, "session"),
    ],
)
def test_what_leaves_the_trust_domain(
    privacy: str | None, keep: bool, gone: set[str], anonymous: bool, left: str | None
) -> None:
    request = invite(*HEADERS, *([("privacy", privacy)] if privacy else []))
    leave_trust(request, keep_identity=keep)
    assert {key for key, _ in HEADERS if key not in request} == {"p-preferred-identity", *gone}
    assert request.get("from") == (f"{ANONYMOUS};tag=a" if anonymous else '"Ann" <sip:1001@example.com>;tag=a')
    assert request.get("privacy") == left


@pytest.mark.parametrize("privacy", ["header;critical", "critical,session,id"])
def test_privacy_that_is_critical_and_cannot_be_had_is_refused(privacy: str) -> None:
    with pytest.raises(Rejected) as caught:
        leave_trust(invite(("privacy", privacy)), keep_identity=True)
    assert caught.value.status == 500
    assert "Privacy" in caught.value.reason
