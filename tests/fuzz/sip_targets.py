"""What the SIP readers are held to for any input: `BadMessage` and nothing else, and the invariants asserted here."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from appliance.sip.build import ack_of, cancel_of, response_to
from appliance.sip.digest import Credential, DigestClient, DigestVerifier
from appliance.sip.errors import BadMessage
from appliance.sip.headers import (
    parse_cseq_untrusted,
    parse_name_addr_untrusted,
    parse_via_untrusted,
    split_commas,
    tag_of,
    tag_untrusted,
)
from appliance.sip.message import Request, Response
from appliance.sip.multipart import find_part_untrusted, replace_part
from appliance.sip.parser import check_untrusted, parse_message_untrusted
from appliance.sip.passport import read_identity_untrusted
from appliance.sip.stir_chain import BadChain, Chain, read_tn_auth_list_untrusted
from appliance.sip.stream import StreamFramer, StreamLimits
from appliance.sip.uri import parse_uri_untrusted


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def no_hidden_break(message: Request | Response) -> bytes:
    data = message.to_bytes()
    head = data.partition(b"\r\n\r\n")[0].replace(b"\r\n", b"")
    assert b"\r" not in head
    assert b"\n" not in head
    return data


def _touch(message: Request | Response) -> None:
    """Ask for every typed view; each may call the message bad, none may do worse."""
    for view in ("via", "cseq", "from_", "to", "call_id", "from_tag", "to_tag", "max_forwards", "request_uri"):
        with suppress(BadMessage, AttributeError):
            getattr(message, view)
    for key in ("contact", "route", "record-route", "path", "refer-to"):
        with suppress(BadMessage):
            message.addresses(key)


def message(data: bytes) -> None:
    request: Request | Response | None = None
    try:
        request = parse_message_untrusted(data)
        check_untrusted(request)
    except BadMessage as bad:
        answerable = request or bad.request
        if isinstance(answerable, Request):
            no_hidden_break(response_to(answerable, bad.status, bad.reason, to_tag="t"))
            _touch(answerable)
        return
    wire = no_hidden_break(request)
    again = parse_message_untrusted(wire)
    check_untrusted(again)
    assert again.to_bytes() == wire
    assert (again.from_tag, again.to_tag) == (request.from_tag, request.to_tag) == (again.from_.tag, again.to.tag)
    _touch(request)
    if isinstance(request, Request):
        answer = response_to(request, 200, to_tag="t")
        reread = parse_message_untrusted(no_hidden_break(answer))
        check_untrusted(reread)
        assert reread.get_all("via") == request.get_all("via")
        for made in (cancel_of(request), ack_of(request, answer)):
            check_untrusted(parse_message_untrusted(no_hidden_break(made)))
    vias = request.values("via")
    request.prepend("via", "SIP/2.0/UDP proxy.example.com;branch=z9hG4bKfuzz")
    request.prepend("record-route", "<sip:proxy.example.com;lr>")
    request.set("max-forwards", "69")
    edited = parse_message_untrusted(no_hidden_break(request))
    check_untrusted(edited)
    assert edited.via.branch == "z9hG4bKfuzz"
    edited.pop_first("via")
    assert edited.values("via") == vias


def identity(data: bytes) -> None:
    try:
        signed = read_identity_untrusted(_text(data))
    except BadMessage:
        return
    if signed is not None:
        assert len(signed.signature) == 64
        assert signed.passport.orig.isprintable()


def certificates(data: bytes) -> None:
    with suppress(BadChain):
        assert read_tn_auth_list_untrusted(data).covers("12025550100") in (True, False)
    with suppress(BadChain):
        chain = Chain.read_untrusted(data)
        chain.verify((), datetime.now(UTC))


def uri(data: bytes) -> None:
    with suppress(BadMessage):
        parsed = parse_uri_untrusted(_text(data))
        again = parse_uri_untrusted(str(parsed))
        assert again == parsed
        assert parsed.equals(again)
        assert (parsed.aor, parsed.username, parsed.bare_host) == (again.aor, again.username, again.bare_host)


def headers(data: bytes) -> None:
    text = _text(data)
    elements = split_commas(text)
    assert all(element and element == element.strip() for element in elements)
    tag_of(text)
    for reader in (parse_via_untrusted, parse_cseq_untrusted, parse_name_addr_untrusted):
        with suppress(BadMessage):
            parsed = reader(text)
            assert str(reader(str(parsed))) == str(parsed)
    with suppress(BadMessage):
        tag = tag_untrusted(f"From: {text}", "From")
        if "\n" not in text:
            assert tag == parse_name_addr_untrusted(text).tag


def stream(data: bytes) -> None:
    def framed(pieces: list[bytes]) -> list[bytes]:
        framer, got = StreamFramer(StreamLimits(256, 64)), list[bytes]()
        try:
            for piece in pieces:
                got.extend(framer.feed_untrusted(piece, 0.0))
        except BadMessage as bad:
            got.append(bad.reason.encode())
        return got

    assert framed([data]) == framed([data[i : i + 1] for i in range(len(data))])


def digest(data: bytes) -> None:
    value = "Digest " + _text(data)
    verifier = DigestVerifier("box", b"k" * 32, bytes)
    users = {"a": Credential(password="a secret that no fuzzer guesses")}
    with suppress(BadMessage):
        assert verifier.verify_untrusted(value, "INVITE", "sip:b@box", users.get, 1e9).user is None
    with suppress(BadMessage):
        client = DigestClient.of_challenges_untrusted([value], "a", "p")
        DigestClient.of_challenges_untrusted([client.authorize("INVITE", "sip:b@box", "c")], "a", "p")


def multipart(data: bytes) -> None:
    first, _, body = data.partition(b"\n")
    for content_type in ("multipart/mixed;boundary=x", _text(first)):
        with suppress(BadMessage):
            part = find_part_untrusted(content_type, body)
            if part is not None:
                assert 0 <= part.start <= part.end <= len(body)
                changed = replace_part(body, part, b"v=0\r\n")
                assert changed.endswith(body[part.end :])


TARGETS: dict[str, Callable[[bytes], None]] = {
    "message": message,
    "uri": uri,
    "headers": headers,
    "stream": stream,
    "digest": digest,
    "multipart": multipart,
    "identity": identity,
    "certificates": certificates,
}
