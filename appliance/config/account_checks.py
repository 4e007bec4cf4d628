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
        elif not (trunk.gateways or trunk.registrar):
            remedy = "Give the trunk gateways, or take the password away"
            yield mistake("password", "goes to no gateway: the trunk has none", remedy)
        if trunk.register:
            if not trunk.username:
                yield mistake("register", "needs a username", "Give the username that the trunk knows us by")
            if not (trunk.gateways or trunk.registrar):
                yield mistake("register", "has no registrar", "Give the trunk gateways or a registrar")
            if trunk.number_block and trunk.contact_user:
                what = "is not registered with number-block, whose Contact has no user"
                yield mistake("contact-user", what, "Take one of the two away")
        elif trunk.registrar or trunk.number_block or trunk.contact_user:
            key = "registrar" if trunk.registrar else "number-block" if trunk.number_block else "contact-user"
            yield mistake(key, "says how to register, but register is no", "Say register = yes, or take it away")
