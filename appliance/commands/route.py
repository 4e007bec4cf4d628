"""`jackfield route explain`: which way a request would go, from the configuration alone and without placing a call.

The same plan, rewriting and words as for a real call. What only the running box knows, such as registrations, health
and limits, is not asked, and the answer says so.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_address
from urllib.parse import quote

import attrs

from ..config import Settings
from ..config.loader import load_settings
from ..config.patch import Target, TargetKind
from ..proxy.ownership import Ownership
from ..proxy.refusal import refusal
from ..proxy.rewriting import Rewriting
from ..router.choices import group_in_words, trunk_in_words
from ..router.conditions import canonical
from ..router.decision import Decision
from ..router.dialplan import DialPlan
from ..router.question import Caller, CallerKind, Question
from ..router.trusted import TrustedSources
from ..sip.build import reason_of
from ..sip.errors import BadMessage, Rejected
from ..sip.flow import Flow
from ..sip.message import Request
from ..sip.uri import Uri, parse_uri_untrusted
from ..telephony import own_hosts, own_ports
from .answers import DONE, MISTAKEN

MANUAL = (
    "`jackfield route explain --from URI --to URI`; `--source`, `--listener`, `--transport`, `--method`, `--header`, "
    "`--at` and `--call-id` say more about the request, `--all` names the routes that do not fit, too, `--json` prints "
    "one JSON object."
)
UNKNOWN_SOURCE = "0.0.0.0"  # noqa: S104 (no address at all)


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("part", choices=["explain"], help="show the way of a request, step by step")
    parser.add_argument(
        "--from", dest="sender", required=True, metavar="URI", help="who calls: a URI, or a user's name"
    )
    parser.add_argument("--to", required=True, metavar="URI", help="the request URI, or a number")
    parser.add_argument("--source", default=UNKNOWN_SOURCE, metavar="ADDRESS", help="where the request comes from")
    parser.add_argument("--listener", metavar="NAME", help="the listener that it comes in by")
    parser.add_argument("--transport", metavar="NAME", help="udp, tcp, tls, ws or wss (default: the listener's)")
    parser.add_argument("--method", default="INVITE", metavar="NAME", help="INVITE unless said")
    parser.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="a header of the request; may be repeated",
    )
    parser.add_argument("--at", metavar="TIME", help="the moment, as in 2026-12-24T18:30+01:00 (default: now)")
    parser.add_argument("--call-id", default="explained@localhost", metavar="ID", help="decides where shares go")
    parser.add_argument("--all", action="store_true", help="name the routes whose number does not fit, too")
    parser.add_argument("--json", action="store_true", help="for machines: one JSON object")


def run(asked: argparse.Namespace) -> int:
    """Raises `ConfigRejected`."""
    settings = load_settings(asked.conf_dir)
    try:
        explanation = explain(settings, asked)
    except ValueError as error:
        print(f"jackfield route explain: {error}", file=sys.stderr)
        return MISTAKEN
    print(json.dumps(explanation.as_json()) if asked.json else explanation.as_text())
    return DONE


@attrs.frozen
class Explanation:
    """What was asked in words, the decision, and what is done to the request on the way in and out."""

    asked: tuple[str, ...]
    inward: tuple[str, ...]
    decision: Decision
    end: tuple[str, ...]
    outward: tuple[str, ...]
    unknown: tuple[str, ...]
    unfit: tuple[str, ...]

    def as_text(self) -> str:
        steps = [*self.inward, *self.decision.steps]
        lines = [*self.asked, *(f"{number:>3}. {step}" for number, step in enumerate(steps, 1))]
        if self.unfit:
            lines.append(f"     not asked, since the number does not fit: {', '.join(self.unfit)}")
        lines.append(f"So: {self.end[0]}")
        lines += [f"    {line}" for line in (*self.end[1:], *self.outward)]
        if self.unknown:
            lines.append(f"Not known without the running box: {', '.join(self.unknown)}.")
        return "\n".join(lines)

    def as_json(self) -> dict[str, object]:
        decision = self.decision
        return {
            "caller": str(decision.caller),
            "called": decision.called,
            "target": None if decision.target is None else str(decision.target),
            "number": decision.number,
            "route": decision.route,
            "routes": list(decision.routes),
            "alternatives": [{"target": str(target), "number": number} for target, number in decision.alternatives],
            "steps": [*self.inward, *decision.steps],
            "end": list(self.end),
            "outward": list(self.outward),
            "unknown": list(self.unknown),
        }


def explain(settings: Settings, asked: argparse.Namespace) -> Explanation:
    """Raises ValueError, in words for the command line, for what cannot be asked."""
    hosts = own_hosts(settings)
    ownership = Ownership(settings, hosts, own_ports(settings))
    domain = ownership.domain if settings.appliance.domains else hosts[0]
    sender, to = _uri(asked.sender, domain, "--from"), _uri(asked.to, domain, "--to")
    flow = _flow(settings, asked)
    headers = [_header(text) for text in asked.header]
    lines = [("from", f"<{sender}>;tag=explained"), ("to", f"<{to}>"), ("call-id", asked.call_id), *headers]
    request = Request.make(asked.method.upper(), str(to), lines)
    wall = _moment(asked.at)
    caller, because = _caller(settings, ownership, sender, flow)
    rewriting = Rewriting(settings, ownership.domain)
    plan = DialPlan(settings, owned=ownership.has_domain)
    inward: list[str] = []
    request = rewriting.arrived(request, flow.listener, caller, inward)
    uri = request.request_uri
    ours = uri.scheme in ("tel", "urn") or ownership.owns(uri)
    number = f"urn:{uri.username}" if uri.scheme == "urn" else uri.username
    question = Question(number, caller, uri.host, not ours, request, flow, wall)
    decision = plan.decide(question)
    return Explanation(
        asked=(
            f"{request.method} {asked.to if ':' in asked.to else to} from {sender}, {because},",
            f"over {flow.transport} by listener {flow.listener}, source {_source(flow)}, "
            f"at {datetime.fromtimestamp(wall, UTC):%Y-%m-%d %H:%M:%S} UTC",
        ),
        inward=tuple(inward),
        decision=decision,
        end=tuple(_end(settings, decision, plan)),
        outward=tuple(_outward(settings, rewriting, decision)),
        unknown=tuple(_unknown(settings, decision)),
        unfit=tuple(_unfit(settings, decision)) if asked.all else (),
    )


def _uri(text: str, domain: str, option: str) -> Uri:
    if ":" not in text:
        text = f"sip:{text}" if "@" in text else f"sip:{quote(text, safe='+*#-_.~')}@{domain}"
    try:
        return parse_uri_untrusted(text)
    except BadMessage as bad:
        raise ValueError(f"{option}: {text!r} is no URI: {bad.reason}") from None


def _flow(settings: Settings, asked: argparse.Namespace) -> Flow:
    try:
        ip_address(asked.source)
    except ValueError:
        raise ValueError(f"--source: {asked.source!r} is not an IP address") from None
    if asked.listener is not None and asked.listener not in settings.listeners:
        known = ", ".join(settings.listeners)
        raise ValueError(f"--listener: there is no [listener {asked.listener}]; known are {known}")
    transport = asked.transport.lower() if asked.transport else None
    if transport is not None and transport not in ("udp", "tcp", "tls", "ws", "wss"):
        raise ValueError(f"--transport: {asked.transport!r} is not a transport")
    name = asked.listener
    if name is None:
        fitting = [one.name for one in settings.listeners.values() if one.transport.value == (transport or "udp")]
        name = next(iter(fitting), next(iter(settings.listeners)))
    return Flow(
        transport=(transport or settings.listeners[name].transport.value).upper(),
        listener=name,
        local=("127.0.0.1", settings.listeners[name].port),
        remote=(asked.source, 5060),
        id="explained",
        sent_by="localhost",
    )


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or not text.isprintable():
        raise ValueError(f"--header: {text!r} is not NAME: VALUE")
    return canonical(name.strip()), value.strip()


def _moment(text: str | None) -> float:
    if text is None:
        return time.time()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"--at: {text!r} is not a time such as 2026-12-24T18:30+01:00") from None
    return moment.timestamp()


def _caller(settings: Settings, ownership: Ownership, sender: Uri, flow: Flow) -> tuple[Caller, str]:
    """As a real request would be taken, a password being given wherever one is asked for."""
    trunk = TrustedSources(settings.trunks).trunk_of(flow.remote[0]) if flow.remote[0] != UNKNOWN_SOURCE else None
    if trunk is not None:
        return Caller(CallerKind.TRUNK, trunk), f"whom trunk {trunk} trusts by the source address"
    if sender.scheme in ("sip", "sips") and ownership.has_domain(sender.host):
        if sender.username in settings.users:
            return Caller(CallerKind.USER, sender.username), f"user {sender.username} once the password is given"
        return Caller(CallerKind.ANYONE), "nobody of ours (a real request would be asked for a password, in vain)"
    return Caller(CallerKind.ANYONE), "nobody whom we know"


def _source(flow: Flow) -> str:
    return "unknown (give --source)" if flow.remote[0] == UNKNOWN_SOURCE else flow.remote[0]


def _end(settings: Settings, decision: Decision, plan: DialPlan) -> Iterator[str]:
    target = decision.target
    if target is None or target.kind in (TargetKind.REJECT, TargetKind.REDIRECT):
        refused = refusal(decision)
        if decision.forbidden and decision.caller.kind is CallerKind.ANYONE:
            yield "407 Proxy Authentication Required: users may, once they give a password"
            return
        headers = "".join(f", {name}: {value}" for name, value in refused.headers)
        yield f"{refused.status} {refused.reason or reason_of(refused.status)}{headers}"
        return
    yield _towards(target, decision.number, decision.called)
    if target.kind is TargetKind.AOR and decision.number not in settings.users:
        yield f"404: {decision.number} is not a user of this box"
    yield from _detail(settings, target)
    for other, number in decision.alternatives:
        yield f"then {_towards(other, number, decision.called)}"
        yield from (f"  {line}" for line in _detail(settings, other))


def _towards(target: Target, number: str, called: str) -> str:
    return str(target) + (f" as {number}" if number != called else "")


def _detail(settings: Settings, target: Target) -> Iterator[str]:
    match target.kind:
        case TargetKind.TRUNK:
            yield from trunk_in_words(settings, target.name)
        case TargetKind.GROUP:
            yield from group_in_words(settings, target.name)
        case TargetKind.ENUM:
            suffixes = settings.enums[target.name].suffixes
            yield f"to the URIs that DNS has for the number under {', '.join(suffixes)}"
        case TargetKind.DNS:
            yield "to where the host leads by DNS (RFC 3263)"
        case _:
            return


def _outward(settings: Settings, rewriting: Rewriting, decision: Decision) -> Iterator[str]:
    """What is done to the request for each trunk that it may go out by, and for the phones of a user."""
    target = decision.target
    if target is None:
        return
    trunks: list[str] = []
    if target.kind is TargetKind.TRUNK:
        trunks = [target.name]
    elif target.kind is TargetKind.GROUP:
        trunks = list(dict.fromkeys(member.trunk for member in settings.groups[target.name].members))
    elif target.kind is TargetKind.AOR:
        yield from _leaving(rewriting, decision, "", decision.number, "phone.invalid")
    for name in trunks:
        trunk = settings.trunks[name]
        address = str(trunk.gateways[0]) if trunk.gateways else f"{name}.invalid"
        for step in _leaving(rewriting, decision, name, "", address):
            yield step if len(trunks) == 1 else f"to trunk {name}: {step}"
        if trunk.codecs:
            yield f"trunk {name} lets these codecs pass: {trunk.codecs}"


def _leaving(rewriting: Rewriting, decision: Decision, trunk: str, user: str, address: str) -> list[str]:
    request = decision.question.request.copy()
    request.uri = f"sip:{quote(decision.number, safe='+*#-_.~')}@{address}"
    steps: list[str] = []
    try:
        rewriting.leaving(request, trunk, user, decision.caller, steps)
    except Rejected as rejected:
        steps.append(f"{rejected.status} {rejected.reason}: {rejected.cause}")
    return steps


def _unknown(settings: Settings, decision: Decision) -> Iterator[str]:
    kinds = {one.kind for one in (decision.target, *(target for target, _ in decision.alternatives)) if one is not None}
    if TargetKind.AOR in kinds:
        yield "which phones are registered"
    if any(location.networks for location in settings.locations.values()):
        yield "where the caller's phones are registered from"
    if kinds & {TargetKind.TRUNK, TargetKind.GROUP}:
        yield "which gateways are in service"
    if TargetKind.ENUM in kinds:
        yield "which URIs DNS has for the number"
    if settings.limits and decision.target is not None:
        yield "whether a limit is reached"


def _unfit(settings: Settings, decision: Decision) -> Iterator[str]:
    asked = {rule.name for rule, _, _ in decision.trail}
    for route in settings.routes.values():
        if route.name not in asked:
            table = "" if route.table == "main" else f", table {route.table}"
            yield f"{route.name} ({', '.join(map(str, route.match))}{table})"
