"""What a REGISTER says in its Contact headers, read once and remembered: phones say the same again and again.

RFC 3261 §10.2.1 and §20.10, RFC 5626 §4.1 (instance and reg-id).
"""

from __future__ import annotations

from functools import lru_cache

import attrs

from appliance.sip.errors import BadMessage
from appliance.sip.headers import parse_name_addr_untrusted
from appliance.sip.message import Request
from appliance.sip.uri import Uri

LONGEST = 2048
#: RFC 3261 §20.10: what a malformed `expires` stands for.
MALFORMED_EXPIRES_S = 3600
_OWN = frozenset({"q", "expires", "+sip.instance", "reg-id", "pub-gruu", "temp-gruu", "temp-gruu-cookie"})


@attrs.frozen
class Contact:
    """One Contact value. `expires_s` is its own parameter or None; `features` the parameters that we only carry."""

    text: str
    uri: Uri
    q: float
    expires_s: int | None
    instance: str | None
    reg_id: int | None
    features: str


def contacts_untrusted(request: Request) -> list[Contact] | None:
    """The Contacts of a REGISTER; None for `*`, which must stand alone and with Expires 0 (§10.2.2)."""
    values = request.values("contact")
    if "*" in values:
        if values != ["*"] or expires_untrusted(request) != 0:
            raise BadMessage("Contact * must stand alone with Expires 0")
        return None
    return [parse_contact_untrusted(value) for value in values]


def expires_untrusted(request: Request) -> int | None:
    """Seconds of the Expires header, or None without one."""
    text = request.get("expires")
    return None if text is None else _seconds(text)


def parse_contact_untrusted(text: str) -> Contact:
    if len(text) > LONGEST:
        raise BadMessage("Contact is too long")
    return _parse(text)


@lru_cache(maxsize=8192)
def _parse(text: str) -> Contact:
    if not text.isprintable():
        raise BadMessage("Bad Contact: control characters")
    address = parse_name_addr_untrusted(text, "Contact")
    if address.uri.scheme not in ("sip", "sips"):
        raise BadMessage("Contact is no SIP URI")
    q, expires_s, instance, reg_id = 1.0, None, None, None
    features: list[str] = []
    for name, value in address.params:
        match name.lower():
            case "q":
                q = _quality(value or "")
            case "expires":
                expires_s = _seconds(value or "")
            case "+sip.instance":
                instance = _instance(value or "")
            case "reg-id":
                reg_id = _reg_id(value or "")
            case key if key not in _OWN:
                features.append(name if value is None else f"{name}={value}")
    return Contact(str(address.uri), address.uri, q, expires_s, instance, reg_id, ";".join(features))


def _seconds(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        return MALFORMED_EXPIRES_S
    return min(int(text[:12]), 2**32 - 1)


def _quality(text: str) -> float:
    whole, _, fraction = text.partition(".")
    if (
        whole not in ("0", "1")
        or len(fraction) > 3
        or not (fraction == "" or (fraction.isascii() and fraction.isdigit()))
    ):
        raise BadMessage("Bad Contact: q")
    q = float(text)
    if q > 1:
        raise BadMessage("Bad Contact: q")
    return q


def _instance(text: str) -> str:
    if len(text) < 5 or not (text.startswith('"<') and text.endswith('>"')) or '"' in text[1:-1] or "\\" in text:
        raise BadMessage("Bad Contact: +sip.instance")
    return text[2:-2]


def _reg_id(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or not 1 <= int(text) < 2**31:
        raise BadMessage("Bad Contact: reg-id")
    return int(text)
