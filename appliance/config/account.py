"""The account that a carrier or PBX has given us: what a [trunk NAME] says to log in.

One trunk has one account. Several accounts at one carrier are several trunks, so that each has its own routes, limits
and state; a group joins them.
"""

from __future__ import annotations

from enum import StrEnum

import attrs

from .kinds import flag, host, listed, one_of, optional, seconds, secret, text
from .patch import Gateway, gateway
from .secret import Secret
from .setting import setting


class LoginAlgorithm(StrEnum):
    SHA_512_256 = "SHA-512-256"
    SHA_256 = "SHA-256"
    MD5 = "MD5"


class KeepAlive(StrEnum):
    """What holds the way from a registrar to us open, through NATs and firewalls."""

    CRLF = "crlf"
    OPTIONS = "options"
    NONE = "none"


class CalledNumber(StrEnum):
    """Where a trunk's calls say the number that was called."""

    AUTO = "auto"
    REQUEST_URI = "request-uri"
    TO = "to"
    P_CALLED_PARTY_ID = "p-called-party-id"


@attrs.frozen(kw_only=True, slots=False)  # a trunk extends other sections as well
class AccountSettings:
    """Our account at a trunk."""

    username: str = setting(
        text("a user name", pattern=r"[^\s@<>\"]*"),
        "",
        "Our user name at this trunk, as in sip:USERNAME@its-domain.",
    )
    auth_username: str = setting(
        text("a user name"), "", "User name for digest authentication, where it is not the username."
    )
    password: Secret | None = setting(
        optional(secret(), "none", "challenges of this trunk go back to the caller"),
        "none",
        "Our password. Challenges of the trunk (401, 407) are answered with it, inside calls too.",
        secret=True,
    )
    realm: tuple[str, ...] = setting(
        listed(text("a realm", pattern=r"[^\"]+")),
        "",
        "Realms that the password is for, as the trunk's challenges name them; no other is ever answered. Empty: the "
        "names and addresses of its gateways.",
    )
    login_algorithms: tuple[LoginAlgorithm, ...] = setting(
        listed(one_of(LoginAlgorithm), least=1),
        "SHA-512-256, SHA-256, MD5",
        "Digest algorithms that we answer with, -sess included. Without MD5 nobody can make us fall back to it.",
    )
    register: bool = setting(
        flag(), "no", "Register our username at this trunk, so that its calls come to us (RFC 3261 §10)."
    )
    registrar: tuple[Gateway, ...] = setting(
        listed(gateway()),
        "",
        "Registrars; the next one is taken while one does not answer. Empty: the gateways.",
    )
    domain: str | None = setting(
        optional(host(), "auto", "the name of the first registrar"),
        "auto",
        "The trunk's SIP domain: what stands after the @ of our address there.",
    )
    number_block: bool = setting(
        flag(),
        "no",
        "Register all numbers of the account at once (RFC 6140): every call for one of them comes with that number.",
    )
    contact_user: str = setting(
        text("a user name", pattern=r"[^\s@<>\"]*"),
        "",
        "User part of the Contact that we register. Calls to it from the registrar's address are the trunk's. Empty: "
        "the username.",
    )
    register_expires_s: float = setting(
        seconds(60, 86400), "1 h", "How long a registration is asked for; it is renewed well before its end."
    )
    keep_alive: KeepAlive = setting(
        one_of(KeepAlive),
        "crlf",
        "What holds the way from the registrar open: crlf is least to send; options also notices a registrar that is "
        "gone.",
    )
    keep_alive_interval_s: float = setting(
        seconds(5, 600), "25 s", "Longest pause between two of them; many NATs forget UDP after 30 s."
    )
    called_number: CalledNumber = setting(
        one_of(CalledNumber),
        "auto",
        "Where calls of this trunk say the number that was called; auto: in the request URI, or where that is our "
        "registered Contact in P-Called-Party-ID (RFC 7315), else in To.",
    )
