"""Refusing under overload, as cheaply as it can be done: from the bytes of a request to those of a 503.

No parsing, no transaction (RFC 3261 §8.2.7): the same request gets the same answer with the same tag, and the ACK is
known by that tag. Neither is traced: a flood must not push out what an operator looks for. Only plain new requests are
refused here; what is inside a dialog, repeats something admitted, calls an emergency or priority number, or is written
in an unusual way goes on. The Call-ID decides who is refused, so that one call is not admitted now and refused when it
comes again with a password.
"""

from __future__ import annotations

import os
import re
from collections.abc import Container
from functools import partial
from zlib import crc32

from appliance.config.admission import RefusalKind
from appliance.config.settings import Settings
from appliance.proxy.head_form import HeadForm, HeadForms
from appliance.router.refusals import refusal
from appliance.sip.flow import Address, Flow, FlowClosed

_METHODS = frozenset({b"INVITE", b"REGISTER", b"MESSAGE", b"SUBSCRIBE", b"OPTIONS", b"PUBLISH", b"NOTIFY", b"REFER"})
_VIA = re.compile(rb"[^:]*: *SIP/2\.0/\w+ +([^\s;:,\[\"]+|\[[^\]\s]*\])(?::(\d{1,5}))?;([^,\"]*)")
_BRANCH = re.compile(rb"(?:^|;)branch=(z9hG4bK[^;\s]*)")
_RPORT = re.compile(rb";rport(?==?(?:;|$))=?")
_ABSORB_S = 35.0
"""Longer than anybody sends an ACK again (64*T1)."""
_SALT_S = 20.0
_MOST_PEERS = 4096
_KINDS = {
    spelling: kind
    for kind, spellings in {
        "via": (b"Via", b"v", b"VIA", b"via"),
        "from": (b"From", b"f", b"FROM", b"from"),
        "to": (b"To", b"t", b"TO", b"to"),
        "call-id": (b"Call-ID", b"i", b"Call-Id", b"CALL-ID", b"call-id"),
        "cseq": (b"CSeq", b"CSEQ", b"Cseq", b"cseq"),
        "resource-priority": (b"Resource-Priority", b"resource-priority", b"RESOURCE-PRIORITY"),
    }.items()
    for spelling in spellings
}


def _near(wanted: int, low: int, high: int) -> int:
    return min(max(low, wanted), high)


class Shedder:
    """`active`: `take` must be asked about every message. Shares are set by `refuse`."""

    def __init__(self, servers: Container[object]) -> None:
        self.active = False
        self.offered = 0
        """New requests so far, refused ones included; counted by whoever takes them."""
        self.refused = 0
        self._servers = servers
        self._tag = b";tag=jfover" + os.urandom(6).hex().encode() + b"."
        self._threshold = 0
        self._salt = 0
        self._absorb_until = 0.0
        self._forms = HeadForms()
        self._sent_by: dict[bytes, tuple[str, int | None]] = {}
        self._sources: dict[Address, bytes] = {}
        """What is written into the topmost Via of each source; both bounded."""
        self._kind = RefusalKind.OVERLOAD

    def configure(self, settings: Settings) -> None:
        """Take new codes and numbers."""
        self._settings = settings
        priority = settings.priority
        self._spared = frozenset(number.encode() for number in (*priority.emergency, *priority.numbers))
        self._write()

    def _write(self) -> None:
        """What all answers have in common, with one end for each Retry-After."""
        span = self._settings.sip.retry_after
        steps = [span.low + (span.high - span.low) * step // 15 for step in range(16)]
        ends = []
        for seconds in steps:
            rejected = refusal(self._settings, self._kind, "", partial(_near, seconds))
            lines = [f"{name}: {value}" for name, value in rejected.headers]
            ends.append("\r\n".join(["", *lines, "Content-Length: 0", "", ""]).encode())
            self._start = f"SIP/2.0 {rejected.status} {rejected.reason}".encode()
        self._ends = tuple(ends)

    def refuse(self, share: float, kind: RefusalKind, now: float) -> None:
        """This share of new requests from now on."""
        if kind is not self._kind:
            self._kind = kind
            self._write()
        self._threshold = round(share * 1024)
        # Who was refused has a better chance after a while.
        self._salt = int(now / _SALT_S)
        if self._threshold:
            self._absorb_until = now + _ABSORB_S
        self.active = now < self._absorb_until

    def take(self, data: bytes, flow: Flow, trusted: bool) -> bool:
        """Whether this message is dealt with: refused here, or the ACK to such an answer.

        `trusted`: Resource-Priority from its sender may be believed.
        """
        if data[:4] == b"ACK ":
            return data.rfind(self._tag) >= 0
        if not self._threshold:
            return False
        for form in self._forms.known.get(data[:7], ()):
            found = form.match(data)
            if found is not None:
                return self._refuse(form, found, flow)
        space = data.find(b" ")
        if data[:space] not in _METHODS:
            return False
        at = data.find(b"\r\nCall-ID:")
        if at < 0:
            return False
        drawn = crc32(data[at : data.find(b"\r\n", at + 2)], self._salt)
        return drawn & 1023 < self._threshold and self._refuse_untrusted(data, space, drawn, flow, trusted)

    def _refuse(self, form: HeadForm, found: re.Match[bytes], flow: Flow) -> bool:
        """The same for requests written as many before."""
        user, via, via_rest, sent_by, branch, vias, from_, to, call_id, cseq = found.group(*form.pieces)
        drawn = crc32(call_id, self._salt)
        if drawn & 1023 >= self._threshold or b"tag" in to or user in self._spared:
            return False
        host, port = self._sent_by.get(sent_by) or self._read_sent_by(sent_by)
        if (branch.decode(), host, port, form.method) in self._servers:
            return False
        source = self._sources.get(flow.remote) or self._write_source(flow.remote)
        if not form.rport:
            if not flow.reliable and (5060 if port is None else port) != flow.remote[1]:
                return False
            source = b"" if host.strip("[]") == flow.remote[0] else source[source.rindex(b";") :]
        tag = b"%b%08x" % (self._tag, crc32(branch))
        head = b"".join((self._start, via, source, via_rest, vias, from_, to, tag, call_id, cseq))
        if head.count(b"\n") != form.breaks:
            return False
        self._send(head + self._ends[drawn >> 10 & 15], flow)
        return True

    def _read_sent_by(self, text: bytes) -> tuple[str, int | None]:
        host, colon, port = text.rpartition(b":")
        if not colon or text.endswith(b"]"):
            host, port = text, b""
        if len(self._sent_by) >= _MOST_PEERS:
            self._sent_by.clear()
        self._sent_by[text] = read = (host.decode("ascii", "replace"), int(port) if port else None)
        return read

    def _write_source(self, remote: Address) -> bytes:
        if len(self._sources) >= _MOST_PEERS:
            self._sources.clear()
        self._sources[remote] = written = b";rport=%d;received=%b" % (remote[1], remote[0].encode())
        return written

    def _refuse_untrusted(self, data: bytes, space: int, drawn: int, flow: Flow, trusted: bool) -> bool:
        """The same for requests written in any way: answer it, or leave it to the parser."""
        first, *lines = data[: data.find(b"\r\n\r\n")].split(b"\r\n")
        scheme, _, rest = first[space + 1 :].partition(b" ")[0].partition(b":")
        if scheme == b"urn" or re.split(rb"[@:;]", rest, maxsplit=1)[0] in self._spared:
            return False
        answer = [self._start]
        via: bytes | None = None
        branch_of_via = b""
        seen = 0
        kind: str | None = "start"
        for line in lines:
            above, kind = kind, _KINDS.get(line[: max(0, line.find(b":"))])
            if kind is None:
                if line[:1] in b" \t" and above is not None:
                    return False  # folded
                continue
            if b"\n" in line or b"\r" in line:
                return False
            if kind == "resource-priority":
                if trusted:
                    return False
                continue
            if kind == "via" and via is None:
                via = line
                found = _VIA.fullmatch(line)
                branch = _BRANCH.search(found[3]) if found else None
                if found is None or branch is None or not self._is_new(found, branch[1], data[:space]):
                    return False
                branch_of_via = branch[1]
                received = self._received(line, found, flow)
                if received is None:
                    return False
                line = received
            elif kind == "to":
                if b"tag" in line:
                    return False
                line += self._tag + b"%08x" % crc32(branch_of_via)
                seen += 1
            elif kind != "via":
                seen += 1
            answer.append(line)
        if via is None or seen != 4:
            return False
        self._forms.meet(data[:space], lines)
        self._send(b"\r\n".join(answer) + self._ends[drawn >> 10 & 15], flow)
        return True

    def _send(self, answer: bytes, flow: Flow) -> None:
        self.offered += 1
        self.refused += 1
        try:
            flow.send_untraced(answer)
        except FlowClosed:
            pass  # nobody is there to be told

    def _is_new(self, via: re.Match[bytes], branch: bytes, method: bytes) -> bool:
        """Whether it is not the repetition of a request that has a transaction."""
        port = int(via[2]) if via[2] else None
        host = via[1].decode("ascii", "replace")
        return (branch.decode("utf-8", "surrogateescape"), host, port, method.decode()) not in self._servers

    def _received(self, line: bytes, via: re.Match[bytes], flow: Flow) -> bytes | None:
        """The topmost Via with what we know of the sender (RFC 3581 §4); None where the answer goes elsewhere."""
        host, port = flow.remote
        rport = _RPORT.search(line)
        if rport is not None:
            return b"%s;rport=%d;received=%s%s" % (line[: rport.start()], port, host.encode(), line[rport.end() :])
        if not flow.reliable and int(via[2] or 5060) != port:
            return None
        return line if via[1].strip(b"[]") == host.encode() else b"%s;received=%s" % (line, host.encode())
