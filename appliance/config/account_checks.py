"""Contradictions in what trunks say of their accounts."""

from __future__ import annotations

from collections.abc import Iterator

from .mistakes import Mistake
from .places import Places
from .settings import Settings


def account_mistakes(settings: Settings, places: Places) -> Iterator[Mistake]:
    for trunk in settings.trunks.values():
        if not places.sound("trunk", trunk.name):
            continue

        def mistake(key: str, what: str, remedy: str, name: str = trunk.name) -> Mistake:
            return Mistake(places.of("trunk", name, key), f"[trunk {name}]", key, what, remedy)

        if trunk.password is not None and not (trunk.username or trunk.auth_username):
            yield mistake("password", "stands without username", "Give the username that the password is for")
        if trunk.password is None:
            for key, given in (("auth-username", trunk.auth_username), ("realm", trunk.realm)):
                if given:
                    yield mistake(key, "stands without password", "Give the password as well, or take it away")
        elif not trunk.gateways:
            remedy = "Give the trunk gateways, or take the password away"
            yield mistake("password", "goes to no gateway: the trunk has none", remedy)
