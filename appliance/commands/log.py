"""`jackfield log`: the levels of the log's rooms while the box runs."""

from __future__ import annotations

import argparse

from ..control.asking import ask
from .answers import DONE, json_argument, settled

MANUAL = (
    "`log gateway debug` makes one room tell more, `log warning` sets the level of those without one of their own. "
    "A room is the first word of an event."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("room", nargs="?", default="", metavar="ROOM", help="the first word of its events, or")
    parser.add_argument("level", nargs="?", default="", metavar="LEVEL", help="of all: debug, info, warning, error")
    json_argument(parser)


def run(asked: argparse.Namespace) -> int:
    answer = ask(asked.state_dir, "log", *filter(None, (asked.room, asked.level)))
    if (code := settled(asked, answer)) is not None:
        return code
    rooms = answer.get("rooms")
    print(f"all rooms: {answer['level']}")
    for room, level in rooms.items() if isinstance(rooms, dict) else ():
        print(f"{room}: {level}")
    print(f"{answer['left_out']} lines left out of floods, {answer['lost']} lost by a slow reader, since the start")
    return DONE
