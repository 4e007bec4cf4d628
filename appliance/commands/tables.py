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
    "warning": "yellow",
    "doubt": "yellow",
    "skipped": "dim",
}


def table_of(heads: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str) -> str:
    """Rows of cells under their heads, or `empty` where there are none. Cells are text, never markup."""
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
    return "\n".join(columns_of(rows))


def columns_of(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of equal length with their columns in line."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def plain_cells(rows: Iterable[Sequence[str]]) -> list[list[str]]:
    """Control characters, which may be a peer's, are shown as question marks."""
    return [["".join(one if one.isprintable() else "?" for one in cell) for cell in row] for row in rows]
