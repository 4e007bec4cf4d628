"""Tables for people: by rich on a terminal, in plain columns where the output is read by a program."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_COLOURS = {
    "ok": "green",
    "up": "green",
    "in": "green",
    "in service": "green",
    "ready": "green",
    "registered": "green",
    "failed": "bold red",
    "fault": "bold red",
    "down": "bold red",
    "out": "bold red",
    "degraded": "red",
    "critical": "bold red",
    "major": "red",
    "minor": "yellow",
    "warning": "yellow",
    "stands down": "red",
    "drained": "yellow",
    "blocked": "yellow",
    "doubt": "yellow",
    "skipped": "dim",
}


def table_of(heads: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str, named: bool = False) -> str:
    """Rows of cells under their heads, or `empty` where there are none. Cells are text, never markup.

    Without a terminal the heads are left out, unless `named`.
    """
    rows = plain_cells(rows)
    if not rows:
        return empty
    if sys.stdout.isatty():
        table = Table(*heads, box=box.SIMPLE_HEAD, pad_edge=False)
        for row in rows:
            table.add_row(*(Text(cell, style=_COLOURS.get(cell, "")) for cell in row))
        console = Console()
        with console.capture() as captured:
            console.print(table)
        return captured.get().rstrip("\n")
    if named:
        rows = [[*heads], *rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def plain_cells(rows: Iterable[Sequence[str]]) -> list[list[str]]:
    """Control characters, which may be a peer's, are shown as question marks."""
    return [["".join(one if one.isprintable() else "?" for one in cell) for cell in row] for row in rows]
