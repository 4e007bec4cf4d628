"""`jackfield ban`: the sources that are banned, and bans by hand."""

from __future__ import annotations

import argparse

from ..control.asking import Json, ask
from .answers import DONE, json_argument, objects, settled, span
from .tables import table_of

_HEADS = ("source", "what becomes of it", "how long", "why")
MANUAL = (
    "`ban add SOURCE` bans an address or a network by hand, `--for TIME` or for ever; `ban remove SOURCE` lifts its "
    "bans. Trunks and exempt networks cannot be banned. Bans outlive a restart."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", choices=["list", "add", "remove"], default="list")
    parser.add_argument("source", nargs="?", default="", metavar="SOURCE", help="an address or a network")
    parser.add_argument("--for", default="", dest="length", metavar="TIME", help="30s, 5min, 12h, 7d; or for ever")
    json_argument(parser)


def run(asked: argparse.Namespace) -> int:
    answer = ask(asked.state_dir, "ban", asked.action, *filter(None, (asked.source, asked.length)))
    if (code := settled(asked, answer)) is not None:
        return code
    if asked.action == "remove":
        print(f"{asked.source} is heard again.")
    else:
        print(table_of(_HEADS, ban_rows(answer.get("bans")), empty="Nobody is banned."))
    return DONE


def ban_rows(bans: Json) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for one in objects(bans):
        left = one["left_s"]
        ends = f"{span(left)} more" if isinstance(left, int | float) else "for ever"
        rows.append((str(one["source"]), str(one["grade"]), ends, str(one["cause"])))
    return rows
