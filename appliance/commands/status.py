"""`jackfield status`: how the running box does, at a glance."""

from __future__ import annotations

import argparse

from ..control.asking import Json, ask
from .alarms import alarm_lines
from .answers import DONE, FAILED, count, json_argument, objects, print_json, texts
from .gateway import gateway_lines

MANUAL = "`--json` prints one JSON object for machines."


def arguments(parser: argparse.ArgumentParser) -> None:
    json_argument(parser)


def run(asked: argparse.Namespace) -> int:
    answer = ask(asked.state_dir, "status")
    if asked.json:
        return print_json(answer)
    print(f"{answer.get('name')} {answer.get('version')}: {answer.get('state')}, up {answer.get('up_s')} s")
    part = answer.get("telephony")
    figures = (
        {name: number for name, number in part.items() if isinstance(number, int)} if isinstance(part, dict) else {}
    )
    if figures:
        print(f"  {count(figures['calls'], 'call')} in progress, {count(figures['registrations'], 'registered phone')}")
        print(f"  {count(figures['calls_routed'], 'call')} since the start, {figures['calls_answered']} answered")
    for one in objects(answer.get("services")):
        print(f"  {one['name']:<20} {one['state']:<10} {one['where'] or one['fault']}")
    for line in gateway_lines(answer.get("gateways")):
        print(f"  {line}")
    for one in objects(answer.get("trunks")):
        print(f"  trunk {one['name']:<14} {one['registration']:<11} {one['account']}")
    for line in capacity_lines(answer.get("capacity")):
        print(f"  {line}")
    if isinstance(selftest := answer.get("selftest"), dict):
        print(f"  self-test {'passed' if selftest.get('passed') else 'failed'}: {selftest.get('sentence')}")
    if answer.get("overload"):
        print(f"  {answer['overload']}")
    for line in alarm_lines(answer.get("alarms")):
        print(f"  {line}")
    for fault in texts(answer.get("degraded")):
        print(f"  not well: {fault}")
    return DONE if answer.get("ok") else FAILED


def capacity_lines(capacity: Json) -> list[str]:
    """One line for each limit that holds something or has refused somebody, and for the box's own sizes."""
    return [
        f"{one['limit']} ({one['scope']}): {one['used']:g} of {one['size']:g} {one['what']}"
        + (f", {one['refused']} refused" if one["refused"] else "")
        for one in objects(capacity)
    ]
