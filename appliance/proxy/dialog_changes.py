"""What the box changes in the messages of one dialog: made in one direction, undone in the other.

The changes of a dialog are written in short, as `extras`, into our signed Record-Route entries of it, so they outlive
a restart; '' stands for none and costs nothing. Items are joined by '~', each a letter and its text, which holds
neither '~' nor ','. Responses need no notes: what was changed in the request is put back.
"""

from __future__ import annotations

from functools import lru_cache

import attrs

from appliance.proxy.dialog_shift import CseqShift
from appliance.sip.message import Request, Response

_BETWEEN = "~"


@attrs.frozen
class DialogChanges:
    """`towards_callee` and `towards_caller` are the shifts of requests in either direction, None for none.

    `veils` notes the sides from which something is hidden, for `topology`.
    """

    towards_callee: CseqShift | None = None
    towards_caller: CseqShift | None = None
    veils: str = ""

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
        return _BETWEEN.join(items)


UNCHANGED = DialogChanges()


@lru_cache(maxsize=4096)
def read_extras(extras: str) -> DialogChanges:
    """The changes behind `extras`, which are our own words: the entry's signature was checked."""
    items = {item[:1]: item[1:] for item in extras.split(_BETWEEN)}
    return DialogChanges(
        towards_callee=CseqShift.read(items["u"]) if "u" in items else None,
        towards_caller=CseqShift.read(items["d"]) if "d" in items else None,
        veils=items.get("v", ""),
    )


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


def restore(response: Response, request: Request) -> None:
    """Give a response the From, To and CSeq of `request` as it came to us; the To tag is the response's own."""
    for key in ("from", "to", "cseq"):
        value = request.require(key)
        if key == "to" and request.to_tag is None and response.to_tag is not None:
            value = f"{value};tag={response.to_tag}"
        if response.get(key) != value:
            response.set(key, value)
