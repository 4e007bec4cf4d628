"""The accounts that hold now: those of the configuration, and the administrator whom the first start made."""

from __future__ import annotations

from collections.abc import Mapping

import argon2
import attrs

from appliance.config.accounts import AccountSettings, Role


@attrs.frozen
class Account:
    """`password_hash` is argon2's, '' where nobody can sign in with this account."""

    role: Role
    password_hash: str = attrs.field(repr=False)


def accounts_of(administrators: Mapping[str, str], declared: Mapping[str, AccountSettings]) -> dict[str, Account]:
    """By name. `administrators` are hashes by name; who is declared as well is what the declaration says."""
    found = {name: Account(Role.ADMINISTRATOR, stored) for name, stored in administrators.items()}
    for name, one in declared.items():
        found[name] = Account(one.role, "" if one.password_hash is None else one.password_hash.reveal())
    return found


def hash_password(password: str) -> str:
    """For `password-hash` of an [account NAME]."""
    return argon2.PasswordHasher().hash(password)
