"""A setting that nobody reads would be a promise that is not kept."""

import ast
from pathlib import Path

from appliance.config import SECTIONS
from appliance.config.setting import declarations

PACKAGE = Path(__file__).parents[2] / "appliance"

NOT_YET: set[tuple[str, str]] = set()


def attributes_read() -> set[str]:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        if path.parent.name != "config":
            found |= {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
    return found


def test_every_setting_is_read_by_somebody() -> None:
    read = attributes_read()
    unread = {
        (kind.heading, declared.key)
        for kind in SECTIONS
        for declared in declarations(kind.settings)
        if declared.attribute not in read
    }
    assert unread - NOT_YET == set()
