"""The account that a carrier or PBX has given us: what a [trunk NAME] says to log in.

One trunk has one account. Several accounts at one carrier are several trunks, so that each has its own routes, limits
and state; a group joins them.
"""

from __future__ import annotations

from enum import StrEnum

import attrs

from .kinds import listed, one_of, optional, secret, text
from .secret import Secret
from .setting import setting


class LoginAlgorithm(StrEnum):
    SHA_512_256 = "SHA-512-256"
    SHA_256 = "SHA-256"
    MD5 = "MD5"


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
