"""What README.md says of RFCs, tests, ports, files and commands is held against what there is."""

import ast
import re
from pathlib import Path

import pytest

from appliance.commands import COMMANDS
from appliance.config.loader import load_settings
from appliance.config.mistakes import ConfigRejected, Mistake

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
STATUSES = ("full", "part", "passes", "no")

_CITED = re.compile(r"RFCs? (\d{3,5}(?:(?:, | and |/)\d{4,5}\b)*)")


def _rows() -> list[list[str]]:
    """The rows of the tables of RFCs: numbers, status, sentence, tests."""
    chapter = README.split("\n## RFCs\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in chapter.splitlines() if line[:1] == "|"]
    return [row for row in rows if re.match(r"\d", row[0])]


def _listed() -> list[int]:
    return [int(number) for row in _rows() for number in re.findall(r"\b\d{4}\b", row[0])]


def test_every_row_has_a_status_and_what_is_partial_says_why() -> None:
    assert len(_rows()) > 40
    for row in _rows():
        assert len(row) == 4, row
        assert row[1] in STATUSES, row
        assert row[1] != "part" or row[2], row


def test_no_rfc_stands_twice() -> None:
    assert len(_listed()) == len(set(_listed()))


def test_what_is_claimed_is_shown_by_a_test() -> None:
    for row in _rows():
        if row[1] == "full":
            assert row[3], row


def test_the_tests_that_are_named_exist() -> None:
    for row in _rows():
        for name in re.findall(r"`([^`]+)`", row[3]):
            assert (ROOT / "tests" / name).is_file(), name


def test_every_rfc_that_a_room_claims_stands_in_the_table() -> None:
    listed = set(_listed())
    for file in sorted((ROOT / "appliance").rglob("*.py")):
        docstring = ast.get_docstring(ast.parse(file.read_text())) or ""
        for numbers in _CITED.findall(" ".join(docstring.split())):
            for number in re.findall(r"\d+", numbers):
                assert int(number) in listed, f"{file.relative_to(ROOT)} cites RFC {number}"


def test_the_table_of_ports_is_the_shipped_configuration() -> None:
    settings = load_settings(ROOT / "conf.d")
    chapter = README.split("\n## Firewall and NAT\n")[1].split("\n## ")[0]
    for listener in settings.listeners.values():
        kind = "UDP" if listener.transport.value == "udp" else "TCP"
        assert re.search(rf"^\| {listener.port} [A-Z ]*{kind}|^\| {listener.port} UDP and TCP", chapter, re.M)
    assert f"| {settings.web.https_port} TCP |" in chapter
    assert f"| {settings.web.http_port} TCP |" in chapter
    assert f"| {settings.media.ports.low}-{settings.media.ports.high} UDP |" in chapter


def test_the_carrier_of_the_readme_is_taken(tmp_path: Path) -> None:
    chapter = README.split("\n## A carrier\n")[1].split("\n## ")[0]
    blocks = re.findall(r"(?:^    .*\n|^\n)+", chapter, re.M)
    configured = [re.sub("^    ", "", block, flags=re.M) for block in blocks if block.lstrip().startswith("[")]
    assert len(configured) == 2
    for file in (ROOT / "conf.d").glob("*.conf"):
        (tmp_path / file.name).write_text(file.read_text())
    (tmp_path / "60-carrier.conf").write_text(configured[0])
    settings = load_settings(tmp_path)
    counts = (len(settings.listeners), len(settings.users), len(settings.trunks), len(settings.routes))
    assert "{} listeners, {} users, {} trunk, {} routes".format(*counts) in chapter
    (tmp_path / "70-users.conf").write_text(configured[1])
    assert set(load_settings(tmp_path).users) == {"1001", "1002", "1003", "2001"}


def test_the_routes_of_the_readme_are_taken(tmp_path: Path) -> None:
    chapter = README.split("\n## Routes\n")[1].split("\n## ")[0]
    [block] = re.findall(r"(?:^    .*\n|^\n)+", chapter[chapter.index("    [schedule") :], re.M)[:1]
    for file in (ROOT / "conf.d").glob("*.conf"):
        (tmp_path / file.name).write_text(file.read_text())
    (tmp_path / "60-routes.conf").write_text(re.sub("^    ", "", block, flags=re.M))
    [line] = re.findall(r"`(\S+ trunk:ivr)`", chapter)
    (tmp_path / "agents.dn").write_text(line.replace("trunk:ivr", "line:echo") + "\n")
    settings = load_settings(tmp_path)
    assert set(settings.schedules) == {"office"}
    assert len(settings.number_lists["agents"]) == 1


def test_the_limits_of_the_readme_are_taken(tmp_path: Path) -> None:
    chapter = README.split("\n## Limits\n")[1].split("\n## ")[0]
    blocks = re.findall(r"(?:^    .*\n|^\n)+", chapter, re.M)
    [limits] = [re.sub("^    ", "", block, flags=re.M) for block in blocks if block.lstrip().startswith("[")]
    trunk = "[listener udp]\ntransport = udp\nport = 0\n[trunk carrier-a]\ngateways = 192.0.2.10\n"
    (tmp_path / "60-carrier.conf").write_text(trunk)
    (tmp_path / "70-limits.conf").write_text(limits)
    assert set(load_settings(tmp_path).limits) == {"lines-a", "pace-a", "two-each", "strangers"}


def _mistakes(conf_dir: Path) -> tuple[Mistake, ...]:
    try:
        load_settings(conf_dir)
    except ConfigRejected as rejected:
        return rejected.mistakes
    return ()


def _examples() -> list[str]:
    """All of the configuration in README.md, in blocks as they stand there."""
    blocks = re.findall(r"(?:^    .*\n|^\n)+", README, re.M)
    return [re.sub("^    ", "", block, flags=re.M).strip() for block in blocks if block.lstrip().startswith("[")]


@pytest.mark.parametrize("example", _examples(), ids=lambda example: example.splitlines()[0])
def test_every_example_is_taken_but_for_files_that_it_names(tmp_path: Path, example: str) -> None:
    others = "".join(f"[trunk {name}]\ngateways = 192.0.2.20\n" for name in ("carrier-a", "carrier-b", "ivr"))
    for file in (ROOT / "conf.d").glob("*.conf"):
        (tmp_path / file.name).write_text(file.read_text())
    (tmp_path / "60-others.conf").write_text(others)
    (tmp_path / "70-example.conf").write_text(example + "\n")
    (tmp_path / "agents.dn").write_text("2100-2199 trunk:ivr\n")
    assert [one for one in _mistakes(tmp_path) if "No such file or directory" not in one.mistake] == []


@pytest.mark.parametrize("name", [name for name, _ in COMMANDS])
def test_every_command_is_named(name: str) -> None:
    assert f"| `jackfield {name}`" in README


def test_the_folders_that_are_named_exist() -> None:
    chapter = README.split("\n## What is where\n")[1].split("\n## ")[0]
    for name in re.findall(r"`((?:conf\.d|appliance|firmware-image|scripts|tests)/[^`]*)`", chapter):
        assert (ROOT / name).exists(), name
