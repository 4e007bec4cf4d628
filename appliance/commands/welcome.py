"""What a person reads when the appliance starts by hand: where things are, and the passwords made for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..app import Appliance
from ..config import Secret, Settings
from ..config.patch import MatchKind, TargetKind
from ..interfaces import local_names, primary_address


def first_passwords(passwords: Mapping[str, Secret]) -> str:
    """Administrators' passwords that were made just now: shown this once, kept as hashes only."""
    return "".join(
        f"Administrator {name}, password {password.reveal()} (shown this once, stored hashed)\n"
        for name, password in passwords.items()
    )


def welcome(appliance: Appliance) -> str:
    """Addresses of the pages and listeners, accounts with their made passwords, what does not work."""
    return "\n".join(["", *_lines(appliance), ""])


def _lines(appliance: Appliance) -> Iterator[str]:
    settings = appliance.settings
    yield f"{settings.appliance.name} runs. Ctrl-C ends it."
    yield ""
    signed = "" if settings.web.certificate else "  (self-signed certificate)"
    yield f"  Web page       https://{primary_address()}:{settings.web.https_port}/{signed}"
    if settings.web.http_bind:
        yield f"                 http://localhost:{settings.web.http_port}/  (from this machine only)"
    for name, password in appliance.identity.new_passwords.items():
        yield f"  Administrator  {name}  {password.reveal()}  (shown this once, stored hashed)"
    yield ""
    for number, listener in enumerate(settings.listeners.values()):
        where = ", ".join(_shown(address, listener.port) for address in listener.bind)
        path = f"  path {listener.ws_path}" if listener.transport in ("ws", "wss") else ""
        yield f"  {'' if number else 'SIP listeners':<13}  {listener.transport.upper():<4} {where}{path}"
    yield ""
    yield from _accounts(appliance, settings)
    lines = list(dict.fromkeys(_test_lines(settings)))
    if lines:
        yield f"  Test lines     {', '.join(lines)}"
        yield ""
    for fault in appliance.supervisor.degraded:
        yield f"  NOT WELL       {fault}"


def _shown(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _accounts(appliance: Appliance, settings: Settings) -> Iterator[str]:
    made = [name for name in settings.users if name in appliance.identity.passwords]
    domain = (settings.appliance.domains or (primary_address(), *local_names()))[0]
    for number, name in enumerate(made):
        password = appliance.identity.passwords[name]
        if settings.users[name].password == password:
            label = "" if number else "Accounts"
            yield f"  {label:<13}  sip:{name}@{domain}  password {password.reveal()}"
    if made:
        yield f"                 (kept in {appliance.identity.state_dir / 'passwords.json'})"
        yield ""


def _test_lines(settings: Settings) -> Iterator[str]:
    for route in settings.routes.values():
        for match in route.match:
            line = settings.lines.get(route.target.name) if route.target.kind is TargetKind.LINE else None
            if line is not None and match.kind is MatchKind.EXACT:
                yield f"{match.value} {line.kind}"
