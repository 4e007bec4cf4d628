"""`jackfield trunks`: the trunks at a glance."""

from __future__ import annotations

import argparse

from ..control.asking import Json, ask
from .answers import DONE, FAILED, json_argument, objects, print_json
from .tables import table_of

MANUAL = "`jackfield gateway` has their gateways one by one. `--json` prints one JSON object."
_HEADS = ("trunk", "calls", "gateways in", "registration", "account", "why")


def arguments(parser: argparse.ArgumentParser) -> None:
    json_argument(parser)


def run(asked: argparse.Namespace) -> int:
    answer = ask(asked.state_dir, "trunks")
    if asked.json:
        return print_json(answer)
    print(table_of(_HEADS, trunk_rows(answer.get("trunks")), empty="There are no trunks."))
    return DONE if answer.get("ok") else FAILED


def trunk_rows(trunks: Json) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for one in objects(trunks):
        gateways = objects(one["gateways"])
        usable = sum(bool(each["usable"]) for each in gateways)
        rows.append(
            (
                str(one["name"]),
                str(one["calls"]),
                f"{usable} of {len(gateways)}",
                str(one["registration"]),
                str(one["account"]),
                str(one["reason"]),
            )
        )
    return rows
