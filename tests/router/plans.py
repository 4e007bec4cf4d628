"""Plans out of configuration text, and questions put to them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from appliance.config.loader import load_settings
from appliance.config.settings import Settings
from appliance.router.decision import Decision
from appliance.router.dialplan import DialPlan
from appliance.router.question import Caller, CallerKind, Question
from appliance.sip.flow import Flow
from appliance.sip.message import Request

BASE = """
[listener udp]
transport = udp
port = 5060
[listener inside]
transport = tcp
port = 5070
[user 1001]
[user 1002]
[trunk a]
gateways = 192.0.2.10
trusted = 192.0.2.10
[trunk b]
gateways = 192.0.2.11
[line echo]
kind = echo
"""
USER = Caller(CallerKind.USER, "1001")
ANYONE = Caller(CallerKind.ANYONE)
OURS = ("example.com",)


def trunk(name: str) -> Caller:
    return Caller(CallerKind.TRUNK, name)


def settings_of(directory: Path, text: str, **files: str) -> Settings:
    """`files` are number tables, by the name of the file without .dn."""
    for name, lines in files.items():
        (directory / f"{name}.dn").write_text(lines)
    (directory / "a.conf").write_text(BASE + text)
    return load_settings(directory)


class Plan:
    """A plan that is asked in one line."""

    def __init__(self, settings: Settings, registered: Iterable[str] = ()) -> None:
        self.plan = DialPlan(settings, owned=lambda host: host in OURS, registered=lambda user: registered)

    def ask(
        self,
        number: str,
        caller: Caller = USER,
        *,
        host: str = "example.com",
        sender: str = "<sip:1001@example.com>;tag=1",
        method: str = "INVITE",
        headers: tuple[tuple[str, str], ...] = (),
        listener: str = "udp",
        transport: str = "UDP",
        source: str = "192.0.2.1",
        call_id: str = "c@example.net",
        at: str = "2026-11-23T10:00:00+00:00",
    ) -> Decision:
        lines = [("from", sender), ("call-id", call_id), *headers]
        request = Request.make(method, f"sip:{number}@{host}", lines)
        flow = Flow(
            transport=transport,
            listener=listener,
            local=("192.0.2.9", 5060),
            remote=(source, 5060),
            id="f",
            sent_by="192.0.2.9",
        )
        wall = datetime.fromisoformat(at).timestamp()
        return self.plan.decide(Question(number, caller, host, host not in OURS, request, flow, wall))

    def way(self, number: str, caller: Caller = USER, **more: object) -> str:
        """Target, and the number where it was rewritten."""
        decision = self.ask(number, caller, **more)  # type: ignore[arg-type]
        if decision.target is None:
            return "forbidden" if decision.forbidden else "nothing"
        changed = f" as {decision.number}" if decision.number != number else ""
        return f"{decision.target}{changed}" + "".join(f", then {one} as {to}" for one, to in decision.alternatives)
