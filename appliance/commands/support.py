"""`jackfield support`: the support bundle, what the running box tells and what lies in files; as a file or a mail."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import trio

from ..config.loader import load_settings
from ..control.asking import NothingRuns, ask
from ..management.support import NOTHING_KEPT, file_name, pack, still_parts
from ..management.support_mail import support_mail
from ..outlets.alarm_post import Undelivered
from ..outlets.mail import MailCourier
from .answers import DONE, FAILED, MISTAKEN

MANUAL = (
    "`--call CALL-ID` adds the messages of a call; those of the last failed calls are in it anyway. `--mail NAME` "
    "sends it by the server of `[mail NAME]`, to its recipients or to `--to ADDRESS`, in place of writing a file."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="default: one named by the time, here")
    parser.add_argument("--call", action="append", default=[], metavar="CALL-ID", help="add its ladder; repeat it")
    parser.add_argument("--mail", default="", metavar="NAME", help="send it by [mail NAME], in place of a file")
    parser.add_argument("--to", action="append", default=[], metavar="ADDRESS", help="not to its recipients, but there")


def run(asked: argparse.Namespace) -> int:
    """Raises `ConfigRejected` where it is to be mailed."""
    if asked.mail:
        return _mail(asked)
    try:
        file, parts, runs = write_bundle(asked.conf_dir, asked.state_dir, asked.file, asked.call)
    except OSError as error:
        print(f"jackfield: the bundle cannot be written: {error}", file=sys.stderr)
        return FAILED
    print(f"{file}: no passwords and keys are in it, numbers and addresses of callers are.")
    _tell_what_is_missing(parts, runs)
    return DONE


def _tell_what_is_missing(parts: Mapping[str, str], runs: bool) -> None:
    if not runs:
        print("Nothing runs on this state directory: calls, figures and log are missing.")
    for text in parts.values():
        if text.startswith("Call-ID ") and NOTHING_KEPT in text:
            print(f"{text.splitlines()[0]}: {NOTHING_KEPT}")


def _mail(asked: argparse.Namespace) -> int:
    settings = load_settings(asked.conf_dir)
    mail = settings.mails.get(asked.mail)
    if mail is None:
        known = ", ".join(settings.mails) or "none"
        print(f"jackfield: there is no [mail {asked.mail}]; known are {known}", file=sys.stderr)
        return MISTAKEN
    at = time.time()
    parts, runs = parts_of(asked.conf_dir, asked.state_dir, asked.call)
    message = support_mail(mail, asked.to, settings.appliance.name, file_name(at), pack(parts, at))
    try:
        trio.run(MailCourier(mail, settings.appliance.name).post, message)
    except Undelivered as error:
        print(f"jackfield: the mail did not go: {error}", file=sys.stderr)
        return FAILED
    print(f"{file_name(at)} went to {message['To']}; numbers and addresses of callers are in it.")
    _tell_what_is_missing(parts, runs)
    return DONE


def parts_of(conf_dir: Path, state_dir: Path, call_ids: list[str]) -> tuple[dict[str, str], bool]:
    """All of it as texts by file name; whether the box ran and told its part."""
    parts = still_parts(conf_dir, state_dir)
    try:
        live = ask(state_dir, "support", *call_ids).get("parts")
    except NothingRuns as nothing:
        return parts | {"status.json": f"{nothing}\n"}, False
    told = {name: str(text) for name, text in live.items()} if isinstance(live, dict) else {}
    return parts | told, True


def write_bundle(
    conf_dir: Path, state_dir: Path, file: Path | None, call_ids: list[str]
) -> tuple[Path, dict[str, str], bool]:
    """Make the file, for its owner's eyes, and say what is in it, and whether the box ran and told its part. Raises
    OSError.
    """
    at = time.time()
    parts, runs = parts_of(conf_dir, state_dir, call_ids)
    file = file or Path(file_name(at))
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as out:
        out.write(pack(parts, at))
    return file, parts, runs
