"""The manual of all settings and the commented example file, both made from the declarations."""

from __future__ import annotations

import inspect
import textwrap

from .loader import ENABLED, ENABLED_ABOUT
from .setting import Declaration, declarations
from .settings import SECTIONS, SectionKind

_HOW_FILES_ARE_READ = """\
Every file `*.conf` of the configuration directory is read, in the order of the names (10-… before 20-…); files with
other endings and hidden ones are not. A file holds headings `[section]` or `[section name]`, and below them lines
`key = value`, in UTF-8.

- A section may stand in several files. They are put together key by key: what a later file says of a key replaces what
  an earlier one said, lists as a whole. A key twice in one file is a mistake.
- `enabled = no` in a later file takes a named section of an earlier one away.
- A line that begins with `#` or `;` is a comment. Behind a value there are none: it would belong to the value.
- An indented line goes on with the value above it. Values stand without quotes; several have commas between them.
- Headings and keys may be written in capitals, keys with `_` for `-`. Names of sections are taken as they are.
- Times have a unit (`500 ms`, `4 s`, `5 min`, `2 h`, `1 d`), sizes may have one (`64 KiB`, `1 MiB`).
- A relative path is sought beside the file that names it; that of `[storage]` in the state directory.

For example, the shipped `10-listeners.conf` says `port = 5060` of `[listener udp]`. To move it, leave that file as it
is and write `90-mine.conf`, so that an update of the shipped files costs you nothing:

    [listener udp]
    port = 5070

    [listener ws]
    enabled = no
"""


def manual() -> str:
    """All sections and settings, in Markdown."""
    parts = ["## Settings\n", _HOW_FILES_ARE_READ]
    for kind in SECTIONS:
        parts.append(f"### {kind.title('NAME')}\n")
        parts.append(_about(kind) + "\n")
        if kind.named:
            when = "restart" if kind.restart else "reload"
            parts.append(f"`{ENABLED}`: {ENABLED_ABOUT} Give yes or no. Default: `yes`. Taken up by a {when}.\n")
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
