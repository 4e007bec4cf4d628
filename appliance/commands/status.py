"""`jackfield status`: how the running box does, at a glance."""

from __future__ import annotations

import argparse

from ..control.asking import Json, ask
from .alarms import ALARM_HEADS, alarm_rows
from .answers import DONE, FAILED, count, json_argument, objects, print_json, span, texts
from .gateway import GATEWAY_HEADS, gateway_rows
from .tables import table_of

MANUAL = "`--json` prints one JSON object for machines."


def arguments(parser: argparse.ArgumentParser) -> None:
    json_argument(parser)


def run(asked: argparse.Namespace) -> int:
    answer = ask(asked.state_dir, "status")
    if asked.json:
        return print_json(answer)
    up_s = answer.get("up_s")
    up = span(up_s) if isinstance(up_s, int | float) else "nobody knows how long"
    print(f"{answer.get('name')} {answer.get('version')}: {answer.get('state')}, up {up}")
    part = answer.get("telephony")
    figures = (
        {name: number for name, number in part.items() if isinstance(number, int)} if isinstance(part, dict) else {}
    )
    if figures:
        print(f"{count(figures['calls'], 'call')} in progress, {count(figures['registrations'], 'registered phone')}")
        print(f"{count(figures['calls_routed'], 'call')} since the start, {figures['calls_answered']} answered")
    if isinstance(selftest := answer.get("selftest"), dict):
        print(f"self-test {'passed' if selftest.get('passed') else 'failed'}: {selftest.get('sentence')}")
    if answer.get("overload"):
        print(answer["overload"])
    for heads, rows in (
        (("service", "state", "where, or what is wrong"), _service_rows(answer.get("services"))),
        (GATEWAY_HEADS, gateway_rows(answer.get("gateways"))),
        (("registered with", "how it stands", "as"), _trunk_rows(answer.get("trunks"))),
        (("limit", "for", "used", "of", "what", "refused"), capacity_rows(answer.get("capacity"))),
        (ALARM_HEADS, alarm_rows(answer.get("alarms"))),
    ):
        if rows:
            print()
            print(table_of(heads, rows, empty=""))
    faults = texts(answer.get("degraded"))
    if faults:
        print()
        print(*(f"not well: {fault}" for fault in faults), sep="\n")
    return DONE if answer.get("ok") else FAILED


def _service_rows(services: Json) -> list[tuple[str, ...]]:
    return [(str(one["name"]), str(one["state"]), str(one["where"] or one["fault"])) for one in objects(services)]


def _trunk_rows(trunks: Json) -> list[tuple[str, ...]]:
    return [(f"trunk {one['name']}", str(one["registration"]), str(one["account"])) for one in objects(trunks)]


def capacity_rows(capacity: Json) -> list[tuple[str, ...]]:
    """Each limit that holds something or has refused somebody, and the box's own sizes."""
    return [
        (
            str(one["limit"]),
            str(one["scope"]),
            f"{one['used']:g}",
            f"{one['size']:g}",
            str(one["what"]),
            f"{one['refused']} refused" if one["refused"] else "",
        )
        for one in objects(capacity)
    ]
