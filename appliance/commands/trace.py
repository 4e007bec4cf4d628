"""`jackfield trace`: the SIP messages of the running box, one line each, live or as they were, or as a pcapng file."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from ipaddress import ip_network
from typing import BinaryIO, Final, TextIO

from ..config.kinds import seconds
from ..config.loader import load_settings
from ..control.asking import Answer, NothingRuns, ask
from ..control.trace import question_of, trunk_networks, unpacked
from ..trace.message import Direction, TracedMessage
from ..trace.pcapng import pcapng
from ..trace.segments import DIRECTORY, read_segments

_PAUSE_S: Final = 0.25
_PLAIN, _BOLD, _DIM, _RED, _GREEN, _YELLOW, _BLUE, _MAGENTA, _CYAN = 0, 1, 2, 31, 32, 33, 34, 35, 36
_OF_METHODS: Final = {"INVITE": _RED, "BYE": _MAGENTA, "CANCEL": _MAGENTA, "REGISTER": _BLUE, "MESSAGE": _CYAN}
_OF_CLASSES: Final = {1: _YELLOW, 2: _GREEN, 3: _CYAN, 4: _RED, 5: _RED, 6: _RED}


MANUAL = (
    "Without options: what is still kept, one line a message. `--call CALL-ID` (both sides of the box), `--user`, "
    "`--trunk`, `--address`, `--method` and `--since 5min` choose; all that are given must fit. `--follow` goes on "
    "with what comes, `--full` prints whole messages, `--json` one JSON object a line. `--pcap FILE` writes a "
    "pcapng file for Wireshark: what came over TLS or WebSocket stands there as plain TCP made up around it; media "
    "is not captured, but SDP names its addresses, so that a capture of it can be merged in with mergecap. "
    "`--follow --pcap - | wireshark -k -i -` shows calls live. Secrets are masked, see `[trace]`."
)


def arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--call", default="", metavar="CALL-ID", help="one call, both sides of the box")
    sub.add_argument("--user", default="", metavar="USER", help="in the Request-URI, From or To")
    sub.add_argument("--trunk", default="", metavar="NAME", help="from or to the addresses of a trunk")
    sub.add_argument("--address", default="", metavar="ADDRESS", help="from or to an address or a network")
    sub.add_argument("--method", default="", metavar="METHOD", help="requests of it, and what they are answered")
    sub.add_argument("--since", default="", metavar="TIME", help="only of the last 30s, 5min, 2h, 1d")
    sub.add_argument("--follow", action="store_true", help="go on with what comes, until Ctrl-C")
    sub.add_argument("--full", action="store_true", help="whole messages, not one line each")
    sub.add_argument("--json", action="store_true", help="for machines: one JSON object a line")
    sub.add_argument(
        "--pcap", default="", metavar="FILE", help="write a pcapng file for Wireshark; -: to standard output"
    )


def run(asked: argparse.Namespace) -> int:
    """0, or 1 where the box refuses, 2 where the question is none; raises NothingRuns."""
    words = {name: getattr(asked, name) for name in ("call", "user", "trunk", "address", "method")}
    words = {name: value for name, value in words.items() if value}
    try:
        if asked.since:
            words["since"] = str(time.time() - seconds(0, 366 * 86400).read(asked.since))
        question_of({**words, "trunk": ""}, (), None)
    except ValueError as error:
        _tell(f"jackfield trace: {error}")
        return 2
    messages = _messages(asked, words)
    try:
        if asked.pcap == "-":
            _write(sys.stdout.buffer, messages)
        elif asked.pcap:
            with open(asked.pcap, "wb") as file:
                count = _write(file, messages)
            _tell(f"{count} messages in {asked.pcap}. Media is not among them.")
        else:
            colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
            message = None
            for message in messages:
                _show(sys.stdout, message, asked, colour)
            if message is None:
                _tell("No message that is kept fits." if words else "No message is kept yet.")
    except (_Refused, ValueError) as refused:
        _tell(f"jackfield: {refused}")
        return 1
    except OSError as error:
        if asked.pcap and error.filename == asked.pcap:
            _tell(f"jackfield: {asked.pcap} cannot be written: {error.strerror}")
            return 1
        raise
    return 0


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")


class _Refused(Exception):  # noqa: N818
    """The box does not answer this question."""


def _messages(asked: argparse.Namespace, words: dict[str, str]) -> Iterator[TracedMessage]:
    """What is on disk and no longer in memory, then what is in memory, then what comes."""
    serial = "now" if asked.follow and not asked.since else "0"
    disk = asked.state_dir / DIRECTORY
    while True:
        try:
            answer = ask(asked.state_dir, "trace", serial, *(f"{name}={value}" for name, value in words.items()))
        except NothingRuns as nothing:
            if asked.follow or not disk.is_dir():
                raise
            _tell(f"{nothing}. This is what was written before.")
            yield from _written(asked, words, (words.get("call", ""),), None)
            return
        if not answer.get("ok"):
            raise _Refused(str(answer.get("error", "no reason given")))
        if not answer["enabled"]:
            raise _Refused("nothing is traced: [trace] enabled is no")
        if serial == "0":
            yield from _written(asked, words, tuple(_texts(answer, "calls")), answer)
        yield from _unpacked(answer)
        serial = str(answer["next"])
        if not answer["more"]:
            if not asked.follow:
                return
            sys.stdout.flush()
            time.sleep(_PAUSE_S)


def _written(
    asked: argparse.Namespace, words: dict[str, str], calls: tuple[str, ...], answer: Answer | None
) -> Iterator[TracedMessage]:
    networks = None
    if words.get("trunk"):
        if answer is None:
            networks = trunk_networks(load_settings(asked.conf_dir), words["trunk"])
        else:
            networks = tuple(ip_network(one) for one in _texts(answer, "networks"))
    question = question_of(words, tuple(filter(None, calls)), networks)
    oldest = None if answer is None else answer["oldest"]
    end = float(oldest) if isinstance(oldest, int | float) else float("inf")
    for message in read_segments(asked.state_dir / DIRECTORY, question.since):
        if message.at < end and question.fits(message):
            yield message


def _texts(answer: Answer, name: str) -> list[str]:
    found = answer.get(name)
    return [str(text) for text in found] if isinstance(found, list) else []


def _unpacked(answer: Answer) -> Iterator[TracedMessage]:
    found = answer["messages"]
    for one in found if isinstance(found, list) else []:
        yield unpacked(one)


def _write(file: BinaryIO, messages: Iterator[TracedMessage]) -> int:
    count = 0

    def counted() -> Iterator[TracedMessage]:
        nonlocal count
        for message in messages:
            count += 1
            yield message

    try:
        for block in pcapng(counted()):
            file.write(block)
            file.flush()
    except KeyboardInterrupt:
        pass  # the way to end --follow
    return count


def _show(out: TextIO, message: TracedMessage, asked: argparse.Namespace, colour: bool) -> None:
    if asked.json:
        text = message.data.decode("utf-8", "replace")
        at = datetime.fromtimestamp(message.at).astimezone().isoformat(timespec="microseconds")
        shown = {
            "at": at,
            "direction": message.direction,
            "transport": message.transport,
            "listener": message.listener,
            "local": _host_port(*message.local),
            "remote": _host_port(*message.remote),
            "call_id": message.call_id,
            "method": message.method,
            "status": message.status,
            "dropped": message.dropped,
            "message": text,
        }
        out.write(json.dumps(shown) + "\n")
        return
    out.write(line_of(message, colour) + "\n")
    if asked.full:
        body = _printable(message.data.decode("utf-8", "replace").replace("\r\n", "\n"), "\n\t")
        out.write("".join(f"    {line}\n" for line in body.splitlines()) + "\n")


def line_of(message: TracedMessage, colour: bool = False) -> str:
    """Time, who to whom, what: one line that cannot do anything to a terminal but stand there."""

    def ink(code: int, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if colour and text else text

    at = datetime.fromtimestamp(message.at)
    remote = f"{_host_port(*message.remote):>21}"
    arrow = "──▶" if message.direction is Direction.IN else "◀──"
    local = f"{message.transport:<3} {message.listener or _host_port(*message.local)}"
    code = _OF_CLASSES.get(message.status // 100, _PLAIN) if message.status else _OF_METHODS.get(message.method, _BOLD)
    what = message.first_line if not message.status else message.label
    said = _printable(what, "")[:100] or f"{len(message.data)} bytes that are no SIP"
    parts = [
        ink(_DIM, f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}"),
        remote,
        ink(code, arrow),
        ink(_DIM, f"{local:<12}"),
        ink(code, said),
        ink(_DIM, _printable(message.call_id, "")[:80]),
    ]
    if message.dropped:
        parts.append(ink(_RED, f"[dropped: {message.dropped}]"))
    return "  ".join(parts).rstrip()


def _printable(text: str, also: str) -> str:
    return "".join(c if c.isprintable() or c in also else "\N{REPLACEMENT CHARACTER}" for c in text)


def _host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
