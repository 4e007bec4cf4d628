"""Tables for people: by rich on a terminal, in plain columns where the output is read by a program."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from attrs import frozen
from rich.cells import cell_len
from rich.console import Console
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


_GAP = 2
_INDENT = 4
_SENTENCE = 30
_NARROWEST = 12


def table_of(heads: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str) -> str:
    """Rows of cells under their heads, or `empty` where there are none. Cells are text, never markup.

    On a terminal, columns without a word are left out, and what has no room beside the others stands below its row:
    nothing is cut off, for an id that is cut off cannot be given to another command.
    """
    rows = plain_cells(rows)
    if not rows:
        return empty
    if sys.stdout.isatty():
        return _drawn(heads, rows, Console())
    rows = [[*heads], *rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def plain_cells(rows: Iterable[Sequence[str]]) -> list[list[str]]:
    """Control characters, which may be a peer's, are shown as question marks."""
    return [["".join(one if one.isprintable() else "?" for one in cell) for cell in row] for row in rows]


@frozen
class _Layout:
    """Which columns stand beside each other, how wide, and which below their row."""

    beside: list[int]
    widths: list[int]
    below: list[int]


def _layout(heads: Sequence[str], rows: Sequence[Sequence[str]], room: int) -> _Layout:
    beside = [at for at in range(len(heads)) if any(row[at] for row in rows)]
    width = {at: max(cell_len(heads[at]), *(cell_len(row[at]) for row in rows)) for at in beside}
    below: list[int] = []
    while (over := sum(width[at] for at in beside) + _GAP * (len(beside) - 1) - room) > 0:
        widest = max(beside, key=lambda at: width[at])
        longest_word = max(cell_len(word) for row in rows for word in row[widest].split() or [""])
        sentences = [at for at in beside[1:] if width[at] >= _SENTENCE]
        if widest in sentences and width[widest] - over >= max(_SENTENCE, longest_word):
            width[widest] -= over
        elif sentences:
            # The last one explains those before it, which tell what the row is about.
            beside.remove(sentences[-1])
            below.append(sentences[-1])
        elif width[widest] > _NARROWEST or len(beside) == 1:
            width[widest] -= 1 if len(beside) > 1 else over
        else:
            below.append(beside.pop())
    return _Layout(beside, [width[at] for at in beside], sorted(below))


def _drawn(heads: Sequence[str], rows: Sequence[Sequence[str]], console: Console) -> str:
    layout = _layout(heads, rows, console.width)
    lines = _row_lines(heads, layout, console, "bold")
    ruled = max(sum(layout.widths) + _GAP * (len(layout.widths) - 1), *(line.cell_len for line in lines))
    lines.append(Text("\N{BOX DRAWINGS LIGHT HORIZONTAL}" * min(ruled, console.width)))
    for row in rows:
        lines += _row_lines(row, layout, console)
    with console.capture() as captured:
        for line in lines:
            line.rstrip()
            console.print(line, soft_wrap=True)
    return captured.get().rstrip("\n")


def _row_lines(row: Sequence[str], layout: _Layout, console: Console, style: str = "") -> list[Text]:
    """Those that a row takes: its cells beside each other, each as high as it must be, then what stands below."""
    lines: list[Text] = []
    cells = [_wrapped(row[at], width, console, style) for at, width in zip(layout.beside, layout.widths, strict=True)]
    if any(row[at] for at in layout.beside):
        for height in range(max(map(len, cells))):
            line = Text()
            for cell, width in zip(cells, layout.widths, strict=True):
                piece = cell[height] if height < len(cell) else Text()
                line += piece + Text(" " * (width - piece.cell_len + _GAP))
            lines.append(line)
    for at in layout.below:
        for piece in _wrapped(row[at], console.width - _INDENT, console, style) if row[at] else ():
            lines.append(Text(" " * _INDENT) + piece)
    return lines


def _wrapped(cell: str, width: int, console: Console, style: str) -> list[Text]:
    text = Text(cell, style=style or _COLOURS.get(cell, ""))
    pieces = list(text.wrap(console, width, overflow="fold")) or [text]
    for piece in pieces:
        piece.rstrip()
    return pieces
