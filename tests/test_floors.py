"""Who may import whom: ground below, floors above, app.py alone sees all.

Ground (sip, rtc, config) is sans-IO: the standard library, attrs and crypto bindings, no trio, no sibling.
asyncio lives in storage only.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "appliance"

GROUND = {"sip", "rtc", "config"}
FLOOR_2 = {"transport", "media", "storage", "outlets", "selftest"}
FLOOR_3 = {"accounts", "proxy"}
SHARED = {"metrics", "logs", "marking", "alarms", "alarm_kinds"}
BELOW = GROUND | {"router", "trace"} | FLOOR_2 | FLOOR_3 | SHARED

MAY_IMPORT = (
    {room: set() for room in GROUND}
    | {"config": {"alarm_kinds"}}  # plain facts, which settings may name
    | {"router": GROUND | SHARED}
    | dict.fromkeys(FLOOR_2, GROUND | SHARED)
    | dict.fromkeys(FLOOR_3, BELOW)
    | {"trace": GROUND | SHARED}
    | {"box": {"config", "metrics", "logs"}}
    | {"web": FLOOR_3 | {"config", "trace"} | SHARED}
    # The running box from outside the call path: how it is managed, and what it answers over its control socket.
    | {"management": BELOW | {"doctor", "identity", "interfaces", "supervisor", "web"}}
    | {"control": BELOW | {"box", "identity", "interfaces", "management", "web"}}
    | {"doctor": GROUND | SHARED | {"interfaces", "ports", "selftest"}}
    | {"manuals": GROUND | SHARED | {"outlets", "management"}}
    | {"console": {"accounts", "box", "config", "control", "identity"}}
    # The command line is above all but the web side, which only a running box has.
    | {
        "commands": BELOW
        | {"app", "box", "console", "control", "doctor", "identity", "interfaces", "management", "manuals", "ports"}
        | {"supervisor", "telephony"}
    }
)
BINDINGS = {"OpenSSL", "cryptography", "pylibsrtp", "re2"}
ASYNCIO_GUESTS = {"asyncio", "trio_asyncio", "aiosqlite", "redis", "sqlalchemy", "uvloop"}
IO_MODULES = {"socket", "select", "selectors", "asyncio", "threading", "subprocess", "multiprocessing"}


def imports(path: Path, source: str) -> Iterator[tuple[int, str]]:
    """Every module a file imports, absolute: (line, "appliance.sip.uri")."""
    package = [*path.relative_to(ROOT).with_suffix("").parts][:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = [*base, *(node.module.split(".") if node.module else [])]
            # "from .. import metrics" names a room; "from ..sip import uri" one already.
            for alias in node.names if module == ["appliance"] else [None]:
                yield node.lineno, ".".join([*module, alias.name] if alias else module)


def faults_of(path: Path, source: str) -> list[str]:
    """Imports of a file that its floor forbids."""
    parts = path.relative_to(PACKAGE).parts
    room = parts[0] if len(parts) > 1 else ""
    found = []
    for line, module in imports(path, source):
        top, *rest = module.split(".")
        place = f"{path.relative_to(ROOT)}:{line} imports {module}"
        if top == "appliance":
            other = rest[0] if rest else ""
            if room and other and other != room and other not in MAY_IMPORT[room] and other != "__version__":
                found.append(place)
            continue
        if top in ASYNCIO_GUESTS and room != "storage":
            found.append(place)
        if room in GROUND and (
            top in IO_MODULES or not (top in sys.stdlib_module_names or top in {"attrs", *BINDINGS})
        ):
            found.append(place)
        if room == "router" and (top in IO_MODULES or not (top in sys.stdlib_module_names or top == "attrs")):
            found.append(place)
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_only_what_its_floor_may(path: Path) -> None:
    assert faults_of(path, path.read_text()) == []


def test_the_top_level_holds_wiring_and_shared_nouns_only() -> None:
    wiring = {"__init__", "__main__", "cli", "app", "telephony", "telephony_figures", "supervisor", "garbage"}
    wiring |= {"readiness"}
    nouns = {"identity", "interfaces", "ports"}
    assert {path.stem for path in PACKAGE.glob("*.py")} == wiring | nouns | SHARED


def test_every_room_has_a_floor() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and list(path.glob("*.py"))}
    assert rooms - set(MAY_IMPORT) == set()


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("sip/x.py", "import trio"),
        ("sip/x.py", "from ..rtc import sdp"),
        ("sip/x.py", "from .. import metrics"),
        ("sip/x.py", "import socket"),
        ("rtc/x.py", "from appliance.config import Settings"),
        ("router/x.py", "import trio"),
        ("router/x.py", "from ..proxy import core"),
        ("transport/x.py", "from ..media import bridge"),
        ("media/x.py", "import asyncio"),
        ("proxy/x.py", "from ..web import status"),
        ("web/x.py", "from ..sip import uri"),
        ("web/x.py", "import appliance.app"),
        ("cli.py", "import uvloop"),
    ],
)
def test_the_guard_sees_a_forbidden_import(file: str, source: str) -> None:
    assert faults_of(PACKAGE / file, source)


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("sip/x.py", "import attrs, re\nfrom .uri import SipUri"),
        ("rtc/x.py", "from OpenSSL import SSL"),
        ("storage/x.py", "import asyncio, aiosqlite, trio_asyncio"),
        ("proxy/x.py", "from ..media import bridge\nfrom ..router import rules\nfrom .. import metrics"),
        ("web/x.py", "from ..proxy import calls\nfrom ..metrics import Metrics\nimport quart_trio"),
        ("app.py", "from .sip import uri\nfrom .web import site"),
    ],
)
def test_the_guard_lets_a_lawful_import_pass(file: str, source: str) -> None:
    assert faults_of(PACKAGE / file, source) == []
