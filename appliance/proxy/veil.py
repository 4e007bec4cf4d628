"""What a message wears towards a peer from which the rest of the network is hidden.

Written on at the very last, when a message becomes bytes: the Vias of others go sealed into ours, their Record-Route
entries and Contacts become addresses of the box, the Call-ID another one. Everything before works with true values.
Headers that only policy can judge (From, P-Asserted-Identity, User-Agent …) are the rewriting rules' business.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum
from urllib.parse import quote, unquote

import attrs

from appliance.proxy.masks import Kind, Masks
from appliance.proxy.record_route import extras_of, uri_transport
from appliance.sip.errors import BadMessage
from appliance.sip.flow import Flow
from appliance.sip.header_lines import header_line
from appliance.sip.headers import parse_name_addr_untrusted, split_commas, value_of
from appliance.sip.message import Message, Request, Response
from appliance.sip.message import Veil as Worn
from appliance.sip.uri import Uri

VIAS_PARAM = ";h="
VIAS_JOINT = "\0"
DIALOG_HEADERS = frozenset({"replaces", "join", "target-dialog"})
"""Headers whose value begins with the Call-ID of another dialog."""
REFERRED = re.compile(r"([?&](?:Replaces|Join|Target-Dialog)=)((?:[^&>;%]|%(?!3[bB]))+)", re.IGNORECASE)
"""The Call-ID of another dialog inside a Refer-To."""
_COVERED = DIALOG_HEADERS | {"call-id", "contact", "in-reply-to", "refer-to", "warning"}
_OPEN_NOTES = "vud"
"""Notes in our entries (`DialogChanges.extras`) that say nothing of anybody: veils and CSeq shifts."""
_WARNING = re.compile(r"(\d{3}[ \t]+)[^ \t\"]+([ \t]+\")")
_BRACKETED = re.compile(r'((?:"(?:[^"\\]|\\.)*+"|[^<"]*+)[ \t]*+)<([^<>]*+)>(.*+)', re.DOTALL)


class Hiding(Enum):
    """What a side of a dialog does not see: the addresses of others, or the true Call-ID neither."""

    ADDRESSES = "addresses"
    CALL_ID = "call-id"


@attrs.frozen
class Hider:
    """What all veils share. `outer` gives the Call-ID by which hidden peers know a dialog of ours."""

    masks: Masks
    domains: frozenset[str]
    outer: Callable[[str], str]


@attrs.frozen
class Veil:
    """For messages over `flow`. `call_id` is the one that the peer knows, '' for the true one.

    `recorded` are the Record-Route values of the peer's own request, which come back to it as they were.
    """

    hider: Hider
    flow: Flow
    call_id: str = ""
    recorded: frozenset[str] = frozenset()

    def cover(self, message: Message) -> bytes:
        """The message as it goes out; it is itself not changed."""
        keys: list[str] = []
        lines: list[str] = []
        hidden: list[str] = []
        request = isinstance(message, Request)
        for key, line in zip(message.keys, message.lines, strict=True):
            if key == "via" and request and "via" in keys:
                hidden.append(line)
                continue
            if key == "record-route":
                if key not in keys:
                    covered = self._route(message)
                    keys += [key] * len(covered)
                    lines += [header_line(key, value) for value in covered]
                continue
            if key in _COVERED:
                covered_value = self._covered(key, value_of(line))
                if not covered_value:
                    continue
                line = header_line(key, covered_value)
            keys.append(key)
            lines.append(line)
        if hidden:
            index = keys.index("via")
            lines[index] += VIAS_PARAM + self.hider.masks.seal(Kind.VIAS, VIAS_JOINT.join(hidden))
        if isinstance(message, Request):
            return Request(message.method, message.uri, keys, lines, message.body, message.kinds).to_bytes()
        assert isinstance(message, Response)
        return Response(message.status, message.reason, keys, lines, message.body, message.kinds).to_bytes()

    def _covered(self, key: str, value: str) -> str:
        outer = self.hider.outer
        match key:
            case "call-id":
                return self.call_id or value
            case "contact":
                return ", ".join(filter(None, map(self._contact, _values(value))))
            case "in-reply-to":
                return ", ".join(map(outer, _values(value)))
            case "refer-to":
                return REFERRED.sub(self._referred, value)
            case "warning":
                return _WARNING.sub(rf"\g<1>{self.flow.sent_by}\2", value)
        call_id, semicolon, rest = value.partition(";")
        return outer(call_id.strip()) + semicolon + rest

    def _contact(self, value: str) -> str:
        """A Contact as the peer may see it; '' for one that cannot be read."""
        if value == "*":
            return value
        try:
            uri = parse_name_addr_untrusted(value).uri
        except BadMessage:
            return ""
        if uri.scheme not in ("sip", "sips") or uri.host in self.hider.domains or self._names_us(uri):
            return value
        return self._masked(value, uri)

    def _route(self, message: Message) -> list[str]:
        """The Record-Route values: the peer's own and our entry that faces it as they are, if that says little.

        The entry of ours that faces the other side may name the way to it, so it is masked with all others.
        """
        covered = []
        for key, line in zip(message.keys, message.lines, strict=True):
            if key == "record-route":
                covered += _values(value_of(line))
        theirs = [value in self.recorded for value in covered]
        others = [index for index, own in enumerate(theirs) if not own]
        facing = -1 if not others else others[0] if isinstance(message, Request) else others[-1]
        for index in others:
            try:
                uri = parse_name_addr_untrusted(covered[index]).uri
            except BadMessage:
                covered[index] = ""
                continue
            if index != facing or not covered[index].startswith("<sip:jf-") or not self._says_little(uri):
                covered[index] = self._masked(covered[index], uri)
        return [value for value in covered if value]

    def _says_little(self, uri: Uri) -> bool:
        """Whether an entry of ours may be seen by the peer: it may note addresses and names of the other side."""
        noted = filter(None, extras_of(uri.user or "").split("~"))
        return self._names_us(uri) and all(item[0] in _OPEN_NOTES for item in noted)

    def _names_us(self, uri: Uri) -> bool:
        """Whether a URI names the box as the peer knows it."""
        return self.flow.sent_by == (uri.host if uri.port is None else f"{uri.host}:{uri.port}")

    def _masked(self, value: str, uri: Uri) -> str:
        found = _BRACKETED.fullmatch(value)
        before, text, after = found.groups() if found is not None else ("", *_bare(value))
        address = f"<{uri.scheme}:{self.hider.masks.seal(Kind.URI, text)}@{self.flow.sent_by}"
        if self.flow.transport != "UDP":
            address += f";transport={uri_transport(self.flow)}"
        if uri.param("lr") is not None:
            address += ";lr"
        return f"{before}{address}>{after}"

    def _referred(self, found: re.Match[str]) -> str:
        return found[1] + escaped(self.hider.outer(unescaped(found[2])))


def hiding_of(veil: Worn | None) -> Hiding | None:
    """What is hidden from the sender of a request that is veiled."""
    if veil is None:
        return None
    return Hiding.CALL_ID if veil.call_id else Hiding.ADDRESSES


def growth(request: Request) -> int:
    """About how many bytes a veil adds to a request."""
    masked = [
        len(line)
        for key, line in zip(request.keys, request.lines, strict=True)
        if key in ("record-route", "contact", "via")
    ]
    return 40 * len(masked) + sum(masked) // 3


def _values(value: str) -> list[str]:
    try:
        return split_commas(value)
    except BadMessage:
        return []


def _bare(value: str) -> tuple[str, str]:
    """The URI and the parameters of an address without angle brackets."""
    uri, semicolon, params = value.partition(";")
    return uri.strip(), semicolon + params


def escaped(call_id: str) -> str:
    """A Call-ID as a header inside a URI has it."""
    return quote(call_id, safe="@.!~*'()-_", errors="surrogateescape")


def unescaped(text: str) -> str:
    return unquote(text, errors="surrogateescape")
