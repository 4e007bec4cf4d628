"""`jackfield registrations`: the phones that are registered."""

from __future__ import annotations

import argparse

from ..control.asking import Json, ask
from .answers import DONE, FAILED, json_argument, objects, print_json
from .tables import table_of

MANUAL = "`registrations USER` lists those of one user. `--json` prints one JSON object."
_HEADS = ("address of record", "contact", "by", "from", "expires", "phone")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("user", nargs="?", default="", metavar="USER", help="of one user only")
    json_argument(parser)


def run(asked: argparse.Namespace) -> int:
    answer = ask(asked.state_dir, "registrations", *filter(None, (asked.user,)))
    if asked.json:
        return print_json(answer)
    print(table_of(_HEADS, registration_rows(answer.get("registrations")), empty="No phone is registered."))
    return DONE if answer.get("ok") else FAILED


def registration_rows(registrations: Json) -> list[tuple[str, ...]]:
    return [
        (
            *(str(one[name]) for name in ("aor", "contact", "transport", "address")),
            f"{one['expires_s']} s",
            str(one["user_agent"]),
        )
        for one in objects(registrations)
    ]
