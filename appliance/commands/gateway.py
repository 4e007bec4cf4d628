"""`jackfield gateway`: the gateways one by one, and the operator's hand on them."""

from __future__ import annotations

import argparse

from ..control.asking import Json, ask
from .answers import DONE, count, json_argument, objects, settled, whole
from .tables import table_of

GATEWAY_HEADS = ("trunk", "gateway", "state", "calls", "answers after", "why")
MANUAL = (
    "`gateway drain TRUNK [GATEWAY]`: no new calls go there, those in progress go on, pings too; `gateway block …`: "
    "the same, and no pings; `gateway unblock …` lets it in again. This lasts over a restart."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = ("list", "drain", "block", "unblock")
    parser.add_argument("action", nargs="?", choices=actions, default="list", help="default: list")
    parser.add_argument("trunk", nargs="?", default="", metavar="TRUNK", help="all of its gateways, or")
    parser.add_argument("gateway", nargs="?", default="", metavar="GATEWAY", help="one, as the list names it")
    json_argument(parser)


def run(asked: argparse.Namespace) -> int:
    answer = ask(asked.state_dir, "gateway", asked.action, *filter(None, (asked.trunk, asked.gateway)))
    if (code := settled(asked, answer)) is not None:
        return code
    print(table_of(GATEWAY_HEADS, gateway_rows(answer.get("gateways")), empty="No trunk has gateways."))
    return DONE


def gateway_rows(gateways: Json) -> list[tuple[str, ...]]:
    return [
        (
            str(one["trunk"]),
            str(one["gateway"]),
            str(one["state"]),
            count(whole(one["calls"]), "call"),
            "" if one["latency_ms"] is None else f"{one['latency_ms']} ms",
            "; ".join(filter(None, (str(one["why"]), str(one["quality"])))),
        )
        for one in objects(gateways)
    ]
