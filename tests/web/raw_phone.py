"""A phone by hand on trio: plain INVITEs from a trusted address over UDP, and whatever it is told to answer."""

from __future__ import annotations

import re
from itertools import count

import trio

from appliance.rtc.rtp import build_rtp
from appliance.sip.message import Request, Response
from appliance.sip.parser import parse_message_untrusted

_NUMBERS = count(1)


class RawPhone:
    """Calls and is called on one port of loopback; `media` is its RTP port, `codecs` the payload types it lists."""

    def __init__(self, box: tuple[str, int], host: str = "127.0.0.1", codecs: str = "0 8") -> None:
        self.box = box
        self.host = host
        self.codecs = codecs
        self.sock = trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM)
        self.media = trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM)

    async def __aenter__(self) -> RawPhone:
        await self.sock.bind((self.host, 0))
        await self.media.bind((self.host, 0))
        return self

    async def __aexit__(self, *error: object) -> None:
        self.sock.close()
        self.media.close()

    @property
    def port(self) -> int:
        port: int = self.sock.getsockname()[1]
        return port

    @property
    def sdp(self) -> bytes:
        lines = ["v=0", f"o=- 1 1 IN IP4 {self.host}", "s=-", f"c=IN IP4 {self.host}", "t=0 0"]
        lines.append(f"m=audio {self.media.getsockname()[1]} RTP/AVP {self.codecs}")
        return ("\r\n".join(lines) + "\r\n").encode()

    def request(
        self, method: str, number: str, cseq: int = 1, *, call_id: str = "", to: str = "", uri: str = "", **more: str
    ) -> Request:
        to = to or f"<sip:{number}@example.com>"
        return Request.make(
            method,
            uri or f"sip:{number}@example.com",
            [
                ("via", f"SIP/2.0/UDP {self.host}:{self.port};branch=z9hG4bK{self.port}{next(_NUMBERS)}"),
                ("max-forwards", "70"),
                ("from", f"<sip:alice@{self.host}>;tag=1"),
                ("to", to),
                ("call-id", call_id or f"{self.port}-{next(_NUMBERS)}"),
                ("cseq", f"{cseq} {method}"),
                ("contact", f"<sip:alice@{self.host}:{self.port}>"),
                *((name.replace("_", "-"), value) for name, value in more.items()),
            ],
        )

    async def say(self, message: Request | Response) -> None:
        await self.sock.sendto(message.to_bytes(), self.box)

    async def hear(self, wanted: type[Request] | type[Response], timeout_s: float = 60) -> Request | Response:
        """The next request, or the next response but a provisional one."""
        with trio.fail_after(timeout_s):
            while True:
                message = parse_message_untrusted(await self.sock.recv(65536))
                if isinstance(message, wanted) and not (isinstance(message, Response) and message.status < 200):
                    return message

    async def call(self, number: str, **headers: str) -> tuple[Request, Response]:
        """INVITE and its final response, acknowledged; a word is said, as of a mute side much is told after a while."""
        invite = self.request("INVITE", number, content_type="application/sdp", **headers)
        invite.set_body(self.sdp)
        await self.say(invite)
        while (response := await self.hear(Response)).call_id != invite.call_id:
            pass  # said again of a call before
        assert isinstance(response, Response)
        await self.acknowledge(invite, response)
        if response.status < 300:
            found = re.search(rb"^m=audio (\d+)", response.body, re.M)
            assert found
            await self.media.sendto(build_rtp(0, 1, 160, 7, b"\xd5" * 160), (self.box[0], int(found[1])))
        return invite, response

    async def acknowledge(self, invite: Request, response: Response) -> None:
        ok = response.status < 300
        uri = _contact(response) if ok else invite.uri
        ack = self.request("ACK", "", 1, call_id=invite.call_id, to=response.require("to"), uri=uri)
        if ok:
            for route in response.values("record-route")[::-1]:
                ack.append("route", route)
        else:
            ack.set("via", invite.require("via"))
        await self.say(ack)


def _contact(message: Response) -> str:
    found = re.search(r"<([^>]*)>", message.require("contact"))
    assert found
    return found[1]
