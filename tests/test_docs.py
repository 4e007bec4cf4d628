"""What is not documented fails: every setting, metric and command; the shipped files load as they are."""

import inspect
import re
from pathlib import Path

import pytest

from appliance.cli import main
from appliance.commands import COMMANDS
from appliance.commands.answers import DONE, FAILED, MISTAKEN, NOTHING_RUNS
from appliance.commands.reference import command_manual
from appliance.config import SECTIONS
from appliance.config.loader import load_settings
from appliance.config.patch import MatchKind, TargetKind
from appliance.config.reference import example, manual
from appliance.config.routes import RouteSettings
from appliance.config.setting import declarations
from appliance.control.asking import SOCKET
from appliance.control.lock import LOCK
from appliance.identity import CERTIFICATE_DAYS, open_identity
from appliance.manuals.metrics import metric_manual
from appliance.manuals.operation import operation_manual
from appliance.manuals.routing import routing_manual
from appliance.manuals.transactions import transaction_manual
from appliance.metrics import catalogue
from appliance.sip.machines import Machine, diagram

ROOT = Path(__file__).parent.parent


def test_every_setting_is_in_the_manual_and_the_example() -> None:
    text, file = manual(), example()
    for kind in SECTIONS:
        assert f"### {kind.title('NAME')}\n" in text
        assert inspect.cleandoc(kind.settings.__doc__ or "") in text
        for declared in declarations(kind.settings):
            assert len(declared.about) > 10, declared.key
            assert declared.about.endswith("."), declared.key
            assert f"`{declared.key}`: {declared.about}" in text
            assert f"#{declared.key} = " in file or f"#{declared.key} =\n" in file


def test_every_default_is_one_that_could_be_written() -> None:
    for kind in SECTIONS:
        for declared in declarations(kind.settings):
            if declared.default is not None:
                declared.kind.read(declared.default)


def test_a_secret_has_no_default_that_opens_anything() -> None:
    for kind in SECTIONS:
        for declared in declarations(kind.settings):
            assert not declared.secret or declared.default in ("auto", "none")
            assert declared.secret or not declared.key.startswith(("password", "ha1", "secret"))


def test_every_metric_is_in_the_manual() -> None:
    text = metric_manual()
    for described in catalogue().values():
        assert f"`{described.name}` ({described.kind}): {described.help}" in text


def test_every_command_is_in_the_manual() -> None:
    text = command_manual()
    for name, about in COMMANDS:
        assert f"`jackfield {name}`: {about}" in text


def test_every_exit_code_port_and_state_file_is_in_the_manual(tmp_path: Path) -> None:
    text = operation_manual()
    for code in (DONE, FAILED, MISTAKEN, NOTHING_RUNS):
        assert f"\n| {code} | " in text
    settings = load_settings(ROOT / "conf.d")
    for listener in settings.listeners.values():
        assert re.search(rf"^\| {listener.port} \|.*`\[listener {listener.name}\]`", text, re.M)
    ports = f"{settings.media.ports.low}-{settings.media.ports.high}"
    for port in (settings.web.https_port, settings.web.http_port, ports):
        assert f"\n| {port} | " in text
    open_identity(tmp_path, settings)
    made = {file.name for file in tmp_path.iterdir()} | {SOCKET, LOCK, str(settings.storage.database)}
    for name in made:
        assert f"`{name}`" in text
    assert f"for {CERTIFICATE_DAYS} days" in text


def test_every_transaction_machine_is_drawn_in_the_manual() -> None:
    text = transaction_manual()
    for machine in Machine:
        assert diagram(machine) in text


def test_every_condition_and_target_of_a_route_is_in_the_chapter_on_routing() -> None:
    text = routing_manual()
    for declared in declarations(RouteSettings):
        assert f"`{declared.key}`" in text or f"`{declared.key} = " in text or declared.key in ("target", "table"), (
            declared.key
        )
    for kind in TargetKind:
        assert re.search(rf"`{kind}[:`]", text), kind
    for match in MatchKind:
        assert re.search(rf"`{match}[:`]", text), match


@pytest.mark.parametrize("part", ["commands", "running", "routing", "settings", "metrics", "transactions", "example"])
def test_every_part_can_be_had_by_itself_and_stands_in_the_whole(part: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reference", part]) == 0
    one = capsys.readouterr().out
    assert main(["reference"]) == 0
    assert part == "example" or one in capsys.readouterr().out
    assert len(one) > 500


def test_the_shipped_example_file_is_up_to_date() -> None:
    """After a change of declarations: jackfield reference example > conf.d/all-settings.example."""
    assert (ROOT / "conf.d" / "all-settings.example").read_text() == example()


def test_the_example_file_loads_when_its_sections_are_opened(tmp_path: Path) -> None:
    text = example().replace(" NAME]", " name]")
    lines = [line.removeprefix("#") if not line.startswith("# ") else "" for line in text.splitlines()]
    needed = {
        "transport = ": "udp",
        "port = ": "5060",
        "match = ": "any",
        "target = ": "aor",
        "kind = ": "echo",
        "country-code = ": "44",
    }
    needed |= {"gateways = ": "192.0.2.1", "members = ": "name"}
    needed |= {"scope = ": "box", "refusal = ": "name", "host = ": "logs.example.com"}
    needed |= {"url = ": "https://hooks.example.com/", "sender = ": "a@example.com", "recipients = ": "b@example.com"}
    needed |= {"file = ": "/dev/null", "times = ": "mon-fri", "prefixes = ": "+358", "mail = ": "name"}
    filled = [line + " " + needed.get(line + " ", "") for line in lines]
    filled = ["calls = 10" if line == "calls = none " else line for line in filled]
    (tmp_path / "a.conf").write_text("\n".join(filled))
    settings = load_settings(tmp_path)
    assert settings.listeners["name"].port == 5060


def test_the_shipped_files_load_and_hold_what_others_rely_on() -> None:
    settings = load_settings(ROOT / "conf.d")
    ports = {name: (one.transport, one.port) for name, one in settings.listeners.items()}
    assert ports == {
        "udp": ("udp", 5060),
        "tcp": ("tcp", 5060),
        "tls": ("tls", 5061),
        "ws": ("ws", 5066),
        "wss": ("wss", 7443),
    }
    assert (settings.web.https_port, settings.web.http_port, settings.web.sip_path) == (8443, 8080, "/sip")
    assert (settings.media.ports.low, settings.media.ports.high) == (30000, 39999)
    assert settings.users_without_password == ("1001", "1002", "1003", "1004")
    numbers = {str(match): str(route.target) for route in settings.routes.values() for match in route.match}
    assert numbers["exact:9196"] == "line:echo"
    assert numbers["exact:9197"] == "line:tone"


@pytest.mark.parametrize("file", sorted((ROOT / "conf.d").glob("*.conf")), ids=lambda file: file.name)
def test_shipped_files_hold_no_secret(file: Path) -> None:
    assert "password =" not in file.read_text()
