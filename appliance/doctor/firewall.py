"""The machine's firewall, as far as its rules can be read: whether it drops by default and names our ports.

A best effort, and said so: marks, sets by name and other machines' firewalls are not followed. jackfield selftest from
another place is the proof.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from appliance.config import Settings

from .finding import Finding, Grade

_COMMANDS: Final = (("nft", "list", "ruleset"), ("iptables-save",), ("ip6tables-save",))
_NFT_CHAIN: Final = re.compile(r"chain\s+\S+\s*\{([^{}]*hook input[^{}]*)", re.DOTALL)
_PORTS: Final = re.compile(r"\b(tcp|udp|th)?\s*(?:dport|--dports?)\s+(\{[^}]*\}|[\d,:\-]+)")
_SPAN: Final = re.compile(r"(\d+)(?:[-:](\d+))?")


@attrs.frozen
class Wanted:
    """Ports that must be reached."""

    about: str
    protocol: str
    low: int
    high: int


def examine_firewall(settings: Settings) -> Iterator[Finding]:
    read = False
    for command in _COMMANDS:
        rules = _rules(command)
        if rules is None:
            continue
        read = True
        yield from rule_findings(command[0], rules, wanted_of(settings))
    if not read:
        yield Finding(
            "firewall",
            "rules",
            Grade.NOTE,
            "the rules cannot be read: neither nft nor iptables answers this user",
            "Run jackfield doctor as root to look at them.",
        )


def wanted_of(settings: Settings) -> list[Wanted]:
    found = []
    for one in settings.listeners.values():
        protocol = "udp" if one.transport.value == "udp" else "tcp"
        found.append(Wanted(f"listener {one.name}", protocol, one.port, one.port))
    found.append(Wanted("web", "tcp", settings.web.https_port, settings.web.https_port))
    found.append(Wanted("media", "udp", settings.media.ports.low, settings.media.ports.high))
    return found


def rule_findings(tool: str, rules: str, wanted: Sequence[Wanted]) -> Iterator[Finding]:
    """What the rules of one tool mean for our ports."""
    if not drops(rules):
        yield Finding("firewall", tool, Grade.OK, "lets in what no rule names")
        return
    accepted = list(accepted_ports(rules))
    closed = [
        one
        for one in wanted
        if not any(
            protocol in (one.protocol, "") and low <= one.low and one.high <= high for protocol, low, high in accepted
        )
    ]
    for one in closed:
        span = f"{one.low}" if one.low == one.high else f"{one.low}-{one.high}"
        yield Finding(
            "firewall",
            f"{tool}: {one.about}",
            Grade.WARNING,
            f"drops by default, and no rule that could be read lets in {one.protocol} {span}",
            f"Let {one.protocol} {span} in, or see by jackfield selftest from another machine that it comes in.",
        )
    if not closed:
        yield Finding("firewall", tool, Grade.OK, "drops by default, and names all our ports")


def drops(rules: str) -> bool:
    """Whether what no rule names is dropped on its way in."""
    if re.search(r"^:INPUT (DROP|REJECT)\b", rules, re.MULTILINE) or re.search(
        r"^-A INPUT -j (DROP|REJECT)\b", rules, re.MULTILINE
    ):
        return True
    return any(
        re.search(r"policy drop", chain) or re.search(r"^\s*(drop|reject\b.*)\s*$", chain, re.MULTILINE)
        for chain in _NFT_CHAIN.findall(rules)
    )


def accepted_ports(rules: str) -> Iterator[tuple[str, int, int]]:
    """(protocol or "", low, high) of every rule that accepts by port."""
    for line in rules.splitlines():
        if not re.search(r"\baccept\b|-j ACCEPT\b", line):
            continue
        for protocol, ports in _PORTS.findall(line):
            named = re.search(r"-p (tcp|udp)", line)
            known = protocol if protocol in ("tcp", "udp") else named[1] if named else ""
            for low, high in _SPAN.findall(ports):
                yield known, int(low), int(high or low)


def _rules(command: Sequence[str]) -> str | None:
    tool = shutil.which(command[0]) or shutil.which(command[0], path="/usr/sbin:/sbin")
    if tool is None:
        return None
    try:
        done = subprocess.run([tool, *command[1:]], capture_output=True, text=True, timeout=5, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
