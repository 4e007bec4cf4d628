"""Media sessions for rtpload: every one set up through the server under test, by real offers and answers.

Jackfield gets INVITEs from a caller and an answering end that live here (SDES only goes over TLS); rtpengine gets
the same SDP over its control protocol.
"""

from __future__ import annotations

import base64
import os
import re
import socket
import ssl
from pathlib import Path
from types import TracebackType

import attrs

from tests.bench.rivals import Rtpengine

SUITE = "AES_CM_128_HMAC_SHA1_80"


@attrs.frozen
class Session:
    """Where the relay takes the packets of the ends A and B; keys where A speaks SRTP."""

    port_a: int
    port_b: int
    own_key: str = ""
    relay_key: str = ""

    def __str__(self) -> str:
        return f"{self.port_a} {self.port_b} {self.own_key} {self.relay_key}".strip()


def write_sessions(path: Path, sessions: list[Session]) -> None:
    """The file that rtpload reads."""
    path.write_text("".join(f"{session}\n" for session in sessions))


def sdp(port: int, key: str = "") -> str:
    """An offer or answer with one PCMU stream at 127.0.0.1:`port`, protected where a key is given."""
    profile = "RTP/SAVP" if key else "RTP/AVP"
    lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0"]
    lines += [f"m=audio {port} {profile} 0", "a=rtpmap:0 PCMU/8000", "a=sendrecv"]
    if key:
        lines.append(f"a=crypto:1 {SUITE} inline:{key}")
    return "\r\n".join(lines) + "\r\n"


def sdp_port(text: str) -> int:
    found = re.search(r"^m=audio (\d+) ", text, re.M)
    assert found, f"no audio in:\n{text}"
    assert found[1] != "0", f"audio was refused in:\n{text}"
    return int(found[1])


def sdp_key(text: str) -> str:
    found = re.search(rf"^a=crypto:\d+ {SUITE} inline:([A-Za-z0-9+/=]+)", text, re.M)
    assert found, f"no {SUITE} key in:\n{text}"
    return found[1]


def new_key() -> str:
    """Master key and salt of AES_CM_128, base64."""
    return base64.b64encode(os.urandom(30)).decode()


def through_rtpengine(engine: Rtpengine, count: int, port_a: int, port_b: int, protect: bool) -> list[Session]:
    """Sessions by offer and answer over the ng protocol; A offers SRTP where `protect`, B gets RTP."""
    sessions = []
    for number in range(count):
        key = new_key() if protect else ""
        common = {
            "call-id": f"bench-{number}",
            "from-tag": "a",
            "ICE": "remove",
            "replace": ["origin"],
            "flags": ["trust-address"],
        }
        offer = engine.ask({"command": "offer", "sdp": sdp(port_a, key), "transport-protocol": "RTP/AVP", **common})
        answer = engine.ask({"command": "answer", "to-tag": "b", "sdp": sdp(port_b), **common})
        to_a, to_b = answer["sdp"].decode(), offer["sdp"].decode()
        relay_key = sdp_key(to_a) if protect else ""
        sessions.append(Session(sdp_port(to_a), sdp_port(to_b), key, relay_key))
    return sessions


@attrs.frozen
class _Message:
    start: str
    headers: list[tuple[str, str]]
    body: str

    @classmethod
    def read(cls, text: str) -> _Message:
        head, _, body = text.partition("\r\n\r\n")
        start, *lines = head.split("\r\n")
        return cls(start, [(n.strip().lower(), v.strip()) for n, _, v in (x.partition(":") for x in lines)], body)

    def every(self, name: str) -> list[str]:
        return [value for header, value in self.headers if header == name]


class SipSessions:
    """A caller on a TLS or TCP connection (or UDP) and an answering end on UDP, for many calls at once.

    One call after the other is set up; all stand until the block is left, when each gets its BYE.
    """

    def __init__(
        self,
        server: tuple[str, int],
        transport: str,
        answer_port: int,
        number: str,
    ) -> None:
        self._number = number
        self._server = server
        self._transport = transport.upper()
        self._answer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._answer.bind(("127.0.0.1", answer_port))
        self._answer.settimeout(60)
        self._answer_port = answer_port
        kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        self._caller: socket.socket = socket.socket(socket.AF_INET, kind)
        self._caller.settimeout(60)
        self._caller.connect(server)
        if transport == "tls":
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self._caller = context.wrap_socket(self._caller)
        self._caller_port = self._caller.getsockname()[1]
        self._received = b""
        self._dialogs: list[_Message] = []
        self._run = os.urandom(4).hex()

    def __enter__(self) -> SipSessions:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for number, answered in enumerate(self._dialogs):
                self._in_dialog("BYE", number, answered, 2)
                if error is None:
                    self._take_bye()
                    self._response(number, "BYE")
        finally:
            self._caller.close()
            self._answer.close()

    def call(self, count: int, port_a: int, port_b: int, protect: bool) -> list[Session]:
        """Set up `count` calls; A offers SRTP where `protect`, B answers what it is offered (plain RTP)."""
        return [self._call(number, port_a, port_b, protect) for number in range(count)]

    def _call(self, number: int, port_a: int, port_b: int, protect: bool) -> Session:
        key = new_key() if protect else ""
        uri = f"sip:{self._number}@127.0.0.1:{self._server[1]}"
        contact = f"<sip:bench@127.0.0.1:{self._caller_port};transport={self._transport.lower()}>"
        self._send("INVITE", number, 1, uri, [("To", f"<{uri}>"), ("Contact", contact)], sdp(port_a, key))
        offered = self._answer_invite(port_b)
        answered = self._response(number, "INVITE")
        self._in_dialog("ACK", number, answered, 1)
        self._dialogs.append(answered)
        ack, _ = self._take("ACK")
        assert ack is not None
        relay_key = sdp_key(answered.body) if protect else ""
        return Session(sdp_port(answered.body), sdp_port(offered.body), key, relay_key)

    def _send(
        self, method: str, number: int, cseq: int, uri: str, headers: list[tuple[str, str]], body: str = ""
    ) -> None:
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/{self._transport} 127.0.0.1:{self._caller_port}"
            f";branch=z9hG4bK{self._run}{number}{method};rport",
            "Max-Forwards: 70",
            f"From: <sip:bench@127.0.0.1>;tag={self._run}{number}",
            f"Call-ID: {self._run}-{number}@127.0.0.1",
            f"CSeq: {cseq} {method}",
            *(f"{name}: {value}" for name, value in headers),
        ]
        if body:
            lines.append("Content-Type: application/sdp")
        text = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body])
        self._caller.sendall(text.encode())

    def _in_dialog(self, method: str, number: int, answered: _Message, cseq: int) -> None:
        found = re.search(r"<([^>]*)>", answered.every("contact")[0])
        assert found, "no Contact in the 200"
        routes = [one for value in answered.every("record-route") for one in re.findall(r"<[^>]*>[^,]*", value)]
        headers = [("Route", route.strip()) for route in reversed(routes)]
        self._send(method, number, cseq, found[1], [*headers, ("To", answered.every("to")[0])])

    def _response(self, number: int, method: str) -> _Message:
        while True:
            message = self._read()
            if message.every("call-id") != [f"{self._run}-{number}@127.0.0.1"]:
                continue
            status = int(message.start.split(" ")[1])
            if message.every("cseq")[0].endswith(method) and status >= 200:
                assert status == 200, f"{method} answered {message.start}"
                return message

    def _read(self) -> _Message:
        if self._transport == "UDP":
            return _Message.read(self._caller.recv(65535).decode())
        while True:
            head, found, rest = self._received.partition(b"\r\n\r\n")
            if found:
                length = re.search(rb"^(?:content-length|l)\s*:\s*(\d+)", head, re.M | re.I)
                size = int(length[1]) if length else 0
                if len(rest) >= size:
                    self._received = rest[size:]
                    return _Message.read((head + found + rest[:size]).decode())
            more = self._caller.recv(65535)
            assert more, "the server closed the connection"
            self._received += more

    def _take(self, method: str) -> tuple[_Message, tuple[str, int]]:
        while True:
            data, source = self._answer.recvfrom(65535)
            message = _Message.read(data.decode())
            if message.start.startswith(method + " "):
                return message, source

    def _answer_invite(self, port_b: int) -> _Message:
        invite, source = self._take("INVITE")
        self._reply(invite, source, sdp(port_b))
        return invite

    def _take_bye(self) -> None:
        bye, source = self._take("BYE")
        self._reply(bye, source, "")

    def _reply(self, request: _Message, to: tuple[str, int], body: str) -> None:
        lines = ["SIP/2.0 200 OK"]
        for name, value in request.headers:
            if name in ("via", "record-route", "from", "call-id", "cseq"):
                lines.append(f"{name}: {value}")
            elif name == "to":
                lines.append(f"To: {value}" + ("" if ";tag=" in value else f";tag=b{self._run}"))
        lines.append(f"Contact: <sip:bench@127.0.0.1:{self._answer_port}>")
        if body:
            lines.append("Content-Type: application/sdp")
        text = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body])
        self._answer.sendto(text.encode(), to)
