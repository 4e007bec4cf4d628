"""`jackfield reload`: the running box takes up its configuration, or tells why not."""

from __future__ import annotations

import argparse
import sys

from ..control.asking import ask
from .answers import DONE, FAILED, MISTAKEN, texts

MANUAL = ""


def arguments(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def run(asked: argparse.Namespace) -> int:
    answer = ask(asked.state_dir, "reload")
    if not answer.get("ok"):
        mistakes = texts(answer.get("mistakes")) or [str(answer.get("error", "no reason given"))]
        print(*mistakes, sep="\n", file=sys.stderr)
        print("Nothing was changed.", file=sys.stderr)
        return MISTAKEN if "mistakes" in answer else FAILED
    print(*(texts(answer.get("changes")) or ["Nothing has changed."]), sep="\n")
    read = answer.get("conf_dir")
    if read and asked.conf_dir.is_dir() and str(asked.conf_dir.resolve()) != read:
        print(f"It reads {read}, not {asked.conf_dir}: only a start can change that.", file=sys.stderr)
    return DONE
