"""The section [account NAME]: who may sign in to the web side, and what each may do there."""

from __future__ import annotations

from enum import StrEnum

import attrs

from .kinds import one_of, optional, secret
from .secret import Secret
from .setting import setting


class Role(StrEnum):
    """What an account may do; each may what those before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"

    def may(self, needed: Role) -> bool:
        """Whether this role is enough where `needed` is asked for."""
        return _RANKS[self] >= _RANKS[needed]


_RANKS = {role: rank for rank, role in enumerate(Role)}


@attrs.frozen(kw_only=True)
class AccountSettings:
    """Somebody who may sign in to the web side, besides the first administrator, whom the box made at its first start.

    A viewer sees everything but the audit log; an operator also acts on calls, gateways, registrations and bans; an
    administrator also reloads the configuration and reads the audit log. An account with the first administrator's name
    stands in for it.
    """

    name: str
    role: Role = setting(one_of(Role), "viewer", "What the account may do.")
    password_hash: Secret | None = setting(
        optional(
            secret(
                "an argon2id hash, as jackfield password makes it",
                pattern=r"\$argon2id\$v=\d+\$m=\d{1,7},t=\d{1,2},p=\d{1,2}\$[A-Za-z0-9+/]{11,100}\$[A-Za-z0-9+/]{16,200}",
            ),
            "none",
            "nobody can sign in with it",
        ),
        "none",
        "Hash of the account's password. A new one ends the sessions that stand.",
        secret=True,
    )
