"""What the box changes in the messages of one dialog: made in one direction, undone in the other.

The changes of a dialog are written in short, as `extras`, into our signed Record-Route entries of it, so they outlive
a restart; '' stands for none and costs nothing. Items are joined by '~', each a letter and its text, which holds
neither '~' nor ','. Responses need no notes: what was changed in the request is put back.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import lru_cache
from urllib.parse import quote, unquote

import attrs

from appliance.proxy.dialog_shift import CseqShift
from appliance.proxy.record_route import SECRET
from appliance.sip.headers import parse_name_addr_untrusted
from appliance.sip.message import Request, Response

_BETWEEN = "~"


_LONGEST_END = 160
_LETTERS = (("F", "callee_from"), ("T", "callee_to"), ("f", "caller_from"), ("t", "caller_to"))


@attrs.frozen
class Ends:
    """From and To of the dialog's first request without tags, as either side knows them; '' where both know the same.

    Both sides find their dialogs by tags, but many compare the addresses as well, and show them.
    """

    callee_from: str = ""
    callee_to: str = ""
    caller_from: str = ""
    caller_to: str = ""

    @classmethod
    def between(cls, came: Request, goes: Request) -> Ends | None:
        """How a request that came and goes on differs in From and To, None where it does not."""
        found: dict[str, str] = {}
        for key in ("from", "to"):
            before, after = came.line(key), goes.line(key)
            if before != after and before is not None and after is not None:
                found[f"caller_{key}"], found[f"callee_{key}"] = _bare(came, key), _bare(goes, key)
        return cls(**found) if found else None

    def change(self, request: Request, to_leg: str) -> None:
        """Give a request inside the dialog the addresses that the side it goes to knows."""
        if to_leg == "a":
            ends = (("from", self.caller_to), ("to", self.caller_from))
        else:
            ends = (("from", self.callee_from), ("to", self.callee_to))
        for key, address in ends:
            if address:
                tag = request.from_tag if key == "from" else request.to_tag
                request.set(key, f"{address};tag={tag}" if tag else address)

    @property
    def coded(self) -> str:
        """In short, in base64: lines of a letter and an address."""
        lines = [letter + text for letter, name in _LETTERS if (text := getattr(self, name))]
        return urlsafe_b64encode("\n".join(lines).encode("utf-8", "surrogateescape")).decode().rstrip("=")

    @classmethod
    def read(cls, coded: str) -> Ends:
        """What `coded` wrote."""
        raw = urlsafe_b64decode(coded + "=" * (-len(coded) % 4))
        said = {line[:1]: line[1:] for line in raw.decode("utf-8", "surrogateescape").split("\n")}
        return cls(**{name: said[letter] for letter, name in _LETTERS if letter in said})


def _bare(request: Request, key: str) -> str:
    """The address without its tag; a very long one without its display name, then without its user.

    It has to stand in a Record-Route, and a dialog is known by its tags anyway (RFC 3261 §12).
    """
    address = parse_name_addr_untrusted(request.require(key), key)
    params = tuple(pair for pair in address.params if pair[0].lower() != "tag")
    uri = address.uri
    host = f"<sip:{uri.host or 'unknown.invalid'}>"
    for text in (str(attrs.evolve(address, params=params)), f"<{uri}>", host):
        if len(text) <= _LONGEST_END:
            return text
    return "<sip:unknown.invalid>"


@attrs.frozen
class DialogChanges:
    """`towards_callee` and `towards_caller` are the shifts of requests in either direction, None for none.

    `veils` notes the sides from which something is hidden, for `topology`.
    `ends` are the other From and To that a side has, None where both have the same. `trunks` are those of the caller
    and of the callee, '' for none, where rules look at the dialog's further messages, or TLS has an identity of theirs.
    """

    towards_callee: CseqShift | None = None
    towards_caller: CseqShift | None = None
    veils: str = ""
    ends: Ends | None = None
    trunks: tuple[str, str] | None = None

    @property
    def extras(self) -> str:
        """In short, for our Record-Route entries."""
        items = []
        if self.towards_callee is not None:
            items.append(f"u{self.towards_callee}")
        if self.towards_caller is not None:
            items.append(f"d{self.towards_caller}")
        if self.veils:
            items.append(f"v{self.veils}")
        if self.ends is not None:
            items.append(f"{SECRET}{self.ends.coded}")
        if self.trunks is not None:
            items.append("n" + "/".join(quote(name, "").replace(_BETWEEN, "%7E") for name in self.trunks))
        return _BETWEEN.join(items)


UNCHANGED = DialogChanges()


@lru_cache(maxsize=4096)
def between(trunks: tuple[str, str]) -> DialogChanges:
    """What is noted of a dialog between these two, where nothing in it is changed."""
    return DialogChanges(trunks=trunks)


@lru_cache(maxsize=4096)
def read_extras(extras: str) -> DialogChanges:
    """The changes behind `extras`, which are our own words: the entry's signature was checked."""
    items = {item[:1]: item[1:] for item in extras.split(_BETWEEN)}
    return DialogChanges(
        towards_callee=CseqShift.read(items["u"]) if "u" in items else None,
        towards_caller=CseqShift.read(items["d"]) if "d" in items else None,
        veils=items.get("v", ""),
        ends=Ends.read(items[SECRET]) if SECRET in items else None,
        trunks=_trunks(items["n"]) if "n" in items else None,
    )


def _trunks(text: str) -> tuple[str, str]:
    caller, _, callee = text.partition("/")
    return unquote(caller), unquote(callee)


def change(request: Request, extras: str, to_leg: str, *, tries: int = 0, invite_tries: int | None = None) -> None:
    """Change a request inside a dialog on its way to `to_leg` ("a" is the caller's).

    `tries` is how often this very request was challenged and answered by us before; `invite_tries` the same of the
    INVITE that an ACK or PRACK speaks of, None where it is not known.
    """
    changes = read_extras(extras)
    ahead, back = changes.towards_callee, changes.towards_caller
    if to_leg == "a":
        ahead, back = back, ahead
    if ahead is not None:
        ahead.shift(request, tries, invite_tries)
    if back is not None:
        back.unshift_mentions(request)
    if changes.ends is not None:
        changes.ends.change(request, to_leg)


def restore(response: Response, request: Request) -> None:
    """Give a response the From, To and CSeq of `request` as it came to us; the To tag is the response's own."""
    for key in ("from", "to", "cseq"):
        value = request.require(key)
        if key == "to" and request.to_tag is None and response.to_tag is not None:
            value = f"{value};tag={response.to_tag}"
        if response.get(key) != value:
            response.set(key, value)
