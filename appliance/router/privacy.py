"""Identity and privacy at the edge of trust: who is asserted to whom, and what a caller wants hidden.

RFC 3325 (P-Asserted-Identity, P-Preferred-Identity), RFC 3323 (Privacy, the anonymous From), RFC 3324 (trust domain).
Edits of one request; which peer is trusted is the configuration's word.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from appliance.router.fields import quoted
from appliance.sip.errors import BadMessage, Rejected
from appliance.sip.header_lines import header_line
from appliance.sip.headers import parse_name_addr_untrusted, split_commas
from appliance.sip.message import Message, Request

ANONYMOUS = '"Anonymous" <sip:anonymous@anonymous.invalid>'

_USER_LEVEL = (
    "subject",
    "call-info",
    "organization",
    "user-agent",
    "reply-to",
    "in-reply-to",
    "referred-by",
    "p-preferred-identity",
    "p-called-party-id",
    "remote-party-id",
    "diversion",
    "history-info",
    "server",
    "warning",
)
"""What tells of the user beside From (RFC 3323 §5.1 and §5.3, RFC 5806 §9, RFC 7044 §10)."""

_OURS = frozenset({"id", "user", "history"})
"""What we can do by ourselves; `header` is done by topology hiding, `session` by media through the box."""


@attrs.frozen
class Identities:
    """What a user of ours may be asserted as: `known` are SIP URIs, the first unless the user prefers another."""

    known: tuple[str, ...]
    display: str = ""
    usual: str = attrs.field(init=False)
    """The header's line for a user who prefers nothing."""

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "usual", header_line("p-asserted-identity", self.chosen(())))

    def chosen(self, preferred: Sequence[str]) -> str:
        """The P-Asserted-Identity value, by what stands in P-Preferred-Identity (RFC 3325 §6)."""
        uri = self.known[0]
        for value in preferred:
            try:
                wished = parse_name_addr_untrusted(value).uri
            except BadMessage:
                continue
            found = next((one for one in self.known if _means(one, wished.username)), None)
            if found is not None:
                uri = found
                break
        return f"{quoted(self.display)} <{uri}>" if self.display else f"<{uri}>"


def _means(uri: str, user: str) -> bool:
    return bool(user) and uri.partition(":")[2].partition("@")[0] == user


_CONCERNED = frozenset({"privacy", "p-asserted-identity", "p-preferred-identity"})


def privacy_of(message: Message) -> frozenset[str]:
    """The values of Privacy, in small letters."""
    if "privacy" not in message.kinds:
        return frozenset()
    return frozenset(one.strip().lower() for value in message.get_all("privacy") for one in _split(value))


def _split(value: str) -> list[str]:
    return value.replace(",", ";").split(";")


def assert_identity(request: Request, identities: Identities) -> str:
    """Say to a trusted peer who the caller is (RFC 3325 §5), unless the request says so already. The value, or ''."""
    if "p-asserted-identity" in request.kinds:
        return ""
    if "p-preferred-identity" not in request.kinds:
        request.put_last("p-asserted-identity", identities.usual)
        return identities.usual.partition(": ")[2]
    preferred = [one for value in request.get_all("p-preferred-identity") for one in split_commas(value)]
    request.remove("p-preferred-identity")
    value = identities.chosen(preferred)
    request.append("p-asserted-identity", value)
    return value


def leave_trust(request: Request, *, keep_identity: bool) -> list[str]:
    """Take from a request what may not go to a peer outside the trust domain, and what its caller wants hidden.

    `keep_identity`: what is asserted may pass where the caller does not object (RFC 3325 §5 leaves it to us). Returns
    what was done, in words. Raises `Rejected` 500 where a privacy that is critical cannot be had (RFC 3323 §5).
    """
    done: list[str] = []
    if _CONCERNED.isdisjoint(request.kinds):
        return done
    wanted = privacy_of(request)
    missing = wanted - _OURS - {"critical", "none", ""}
    if missing and "critical" in wanted:
        what = ", ".join(sorted(missing))
        raise Rejected(500, "Privacy Service Unavailable", f"the caller insists on privacy that we do not give: {what}")
    hide = "none" not in wanted and not wanted.isdisjoint({"id", "user", "header"})
    gone = ["p-preferred-identity"]  # §9.2: a wish of the caller to us
    if hide or not (keep_identity or "none" in wanted):
        gone.append("p-asserted-identity")
    for key in gone:
        if key in request.kinds:
            request.remove(key)
            done.append(f"{key} is removed")
    if "none" in wanted or not wanted:
        return done
    if "user" in wanted:
        tag = request.from_tag
        request.set("from", ANONYMOUS + (f";tag={tag}" if tag else ""))
        done.append(f"from is {ANONYMOUS}")
        for key in _USER_LEVEL:
            if key in request.kinds:
                request.remove(key)
                done.append(f"{key} is removed")
    elif "history" in wanted:
        for key in ("history-info", "diversion"):
            if key in request.kinds:
                request.remove(key)
                done.append(f"{key} is removed")
    left = [one for one in sorted(missing) if one]
    request.remove("privacy")
    if left:
        request.append("privacy", ";".join(left))
    return done
