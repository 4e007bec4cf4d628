"""`jackfield check`: the configuration verified, without a running box."""

from __future__ import annotations

import argparse

from ..config.loader import load_settings
from ..config.mistakes import Mistake
from .answers import DONE, count

MANUAL = ""


def arguments(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def run(asked: argparse.Namespace) -> int:
    """Tell doubts and what there is. Raises `ConfigRejected` with every mistake."""
    doubts: list[Mistake] = []
    settings = load_settings(asked.conf_dir, doubts)
    counts = [
        count(len(settings.listeners), "listener"),
        count(len(settings.users), "user"),
        count(len(settings.trunks), "trunk"),
        count(len(settings.routes), "route"),
    ]
    if settings.number_lists:
        numbers = sum(map(len, settings.number_lists.values()))
        counts.append(f"{count(numbers, 'number')} in {count(len(settings.number_lists), 'table')}")
    for doubt in doubts:
        print(f"doubtful: {doubt}")
    print(f"{asked.conf_dir} is well: {', '.join(counts)}")
    return DONE
