"""The trace over the control socket: what the running box answers to jackfield trace, a page at a time.

Who asks goes on from the serial that a page ends with; that is all there is to following live.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from ipaddress import ip_network

from ..config import Settings, TrunkSettings
from ..proxy.core import SipCore
from ..trace.message import Direction, TracedMessage
from ..trace.question import Network, Question
from ..trace.trace import Trace
from .asking import Answer, Json

_METHOD = re.compile(r"[A-Z0-9.!%*_+`'~-]+")  # a token, RFC 3261 §25.1
WORDS = ("call", "user", "trunk", "address", "method", "since", "until")


def question_of(words: Mapping[str, str], calls: tuple[str, ...], trunk: tuple[Network, ...] | None) -> Question:
    """A question from its words; `calls` are all names of the call, `trunk` its addresses. Raises ValueError."""
    unknown = set(words) - set(WORDS)
    if unknown:
        raise ValueError(f"known questions are {', '.join(WORDS)}, not {', '.join(sorted(unknown))}")
    method = words.get("method", "").upper()
    if method and not _METHOD.fullmatch(method):
        raise ValueError(f"{words['method']!r} is no method: give one such as INVITE")
    networks = trunk
    if words.get("address"):
        try:
            network = ip_network(words["address"].strip("[]"), strict=False)
        except ValueError:
            raise ValueError(f"{words['address']!r} is neither an address nor a network") from None
        networks = (network,) if trunk is None else tuple(one for one in trunk if one.overlaps(network))
    return Question(
        calls=frozenset(calls),
        user=words.get("user", ""),
        networks=networks,
        method=method,
        since=float(words.get("since") or 0),
        until=float(words.get("until") or "inf"),
    )


def trunk_networks(settings: Settings, name: str) -> tuple[Network, ...]:
    """The addresses that the configuration itself knows of a trunk. Raises ValueError where there is no such trunk."""
    trunk = settings.trunks.get(name)
    if trunk is None:
        raise ValueError(f"there is no [trunk {name}]")
    return (*trunk.trusted, *_literals(trunk))


def _literals(trunk: TrunkSettings) -> Iterator[Network]:
    for gateway in trunk.gateways:
        try:
            yield ip_network(gateway.host)
        except ValueError:
            continue


class TraceControl:
    """The command `trace`: a serial, then words such as user=1001."""

    def __init__(self, trace: Trace, core: SipCore) -> None:
        self._trace = trace
        self._core = core

    async def command(self, serial: str, *words: str) -> Answer:
        try:
            asked = dict(word.split("=", 1) for word in words)
            networks = self._networks(asked["trunk"]) if asked.get("trunk") else None
            calls = tuple(self._trace.aliases(asked["call"])) if asked.get("call") else ()
            question = question_of(asked, calls, networks)
            begin = self._trace.ring.next_serial if serial == "now" else int(serial)
        except ValueError as error:
            return {"ok": False, "error": str(error)}
        if begin > self._trace.ring.next_serial:
            begin = 0  # what is asked for was counted before a restart
        page = await self._trace.find(question, begin)
        return {
            "ok": True,
            "enabled": self._trace.tap is not None,
            "messages": [packed(one) for one in page.messages],
            "next": page.next,
            "more": page.more,
            "oldest": self._trace.ring.oldest_at,
            "calls": list(calls),
            "networks": None if networks is None else [str(one) for one in networks],
        }

    def _networks(self, name: str) -> tuple[Network, ...]:
        found = list(trunk_networks(self._core.settings, name))
        for gateway in self._core.settings.trunks[name].gateways:
            known = self._core.sender.names.resolve_now(gateway.host, gateway.port, None, False)
            found += [ip_network(target.host.partition("%")[0]) for target in known or ()]
        return tuple(found)


def packed(message: TracedMessage) -> Json:
    """A message as JSON."""
    return {
        "at": message.at,
        "direction": message.direction.value,
        "transport": message.transport,
        "listener": message.listener,
        "local": list(message.local),
        "remote": list(message.remote),
        "dropped": message.dropped,
        "serial": message.serial,
        "data": b64encode(message.data).decode("ascii"),
    }


def unpacked(said: Json) -> TracedMessage:
    """What `packed` made. Raises KeyError, TypeError or ValueError for anything else."""
    if not isinstance(said, dict):
        raise TypeError("no message")
    return TracedMessage(
        at=float(str(said["at"])),
        direction=Direction(str(said["direction"])),
        transport=str(said["transport"]),
        listener=str(said["listener"]),
        local=_address(said["local"]),
        remote=_address(said["remote"]),
        dropped=str(said["dropped"]),
        serial=int(str(said["serial"])),
        data=b64decode(str(said["data"])),
    )


def _address(said: Json) -> tuple[str, int]:
    if not isinstance(said, list) or len(said) != 2:
        raise TypeError("no address")
    return str(said[0]), int(str(said[1]))
