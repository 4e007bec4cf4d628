"""The code that a fresh box shows on its console, and that makes whoever knows it its administrator, once."""

from __future__ import annotations

import json
import secrets
import time
from pathlib import Path
from typing import Final

from .machine import give, write_file

SETUP: Final = "setup.json"
"""In the state directory while the box waits for its owner."""
CODE_GROUPS: Final = 2
_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"


def make_code(state_dir: Path) -> str:
    """A new code, in place of an older one."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(CODE_GROUPS))
    code = "-".join(groups)
    write_file(state_dir / SETUP, json.dumps({"code": code, "made_at": int(time.time())}).encode())
    give(state_dir / SETUP, state_dir.stat())
    return code


def code_of(state_dir: Path) -> str:
    """The code that is good just now, "" where the box is set up."""
    try:
        said = json.loads((state_dir / SETUP).read_bytes())
        return str(said["code"])
    except (OSError, ValueError, TypeError, KeyError):
        return ""
