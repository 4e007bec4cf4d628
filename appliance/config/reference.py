"""The manual of all settings and the commented example file, both made from the declarations."""

from __future__ import annotations

import inspect
import textwrap

from .loader import ENABLED, ENABLED_ABOUT
from .setting import Declaration, declarations
from .settings import SECTIONS, SectionKind

_HOW_FILES_ARE_READ = """\
Every file `*.conf` of the configuration directory is read, in the order of the names; what a later file says
overrides an earlier one key by key. A file holds headings `[section]` or `[section name]` and lines
`key = value`. A line that begins with `#` or `;` is a comment; an indented line goes on with the value above.
Times may have a unit (`500 ms`, `4 s`, `5 min`, `2 h`), sizes too (`64 KiB`).
"""


def manual() -> str:
    """All sections and settings, in Markdown."""
    parts = ["## Settings\n", _HOW_FILES_ARE_READ]
    for kind in SECTIONS:
        parts.append(f"### {kind.title('NAME')}\n")
        parts.append(_about(kind) + "\n")
        if kind.named:
            parts.append(f"`{ENABLED}`: {ENABLED_ABOUT} Give yes or no. Default: `yes`. Taken up by a reload.\n")
        parts += [_entry(declared) for declared in declarations(kind.settings)]
    return "\n".join(parts)


def _about(kind: SectionKind) -> str:
    return inspect.cleandoc(kind.settings.__doc__ or "")


def _entry(declared: Declaration) -> str:
    if declared.required:
        default = "Must be given."
    else:
        default = f"Default: `{declared.default}`." if declared.default else "Default: empty."
    when = "Taken up by a restart." if declared.restart else "Taken up by a reload."
    hidden = " Never shown." if declared.secret else ""
    return f"`{declared.key}`: {declared.about} Give {declared.kind.accepts}. {default} {when}{hidden}\n"


def example() -> str:
    """A file with every section and setting, each commented out, as its default has it."""
    lines = ["# Every setting with its default. Copy what you want to change into a file *.conf in this directory."]
    for kind in SECTIONS:
        lines += ["", *_comment(_about(kind)), f"#[{kind.heading}{' NAME' if kind.named else ''}]"]
        for declared in declarations(kind.settings):
            when = " (restart)" if declared.restart else ""
            lines += ["", *_comment(f"{declared.about} Give {declared.kind.accepts}.{when}")]
            lines.append(f"#{declared.key} = {declared.default or ''}".rstrip())
    return "\n".join(lines) + "\n"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(
        " ".join(text.split()), 108, initial_indent="# ", subsequent_indent="# ", break_long_words=False
    )
