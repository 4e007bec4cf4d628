"""What is not documented fails: every setting, metric and command; the shipped files load as they are."""

import inspect
from pathlib import Path

import pytest

from appliance.cli import COMMANDS, command_manual, metric_manual
from appliance.config import SECTIONS
from appliance.config.loader import load_settings
from appliance.config.reference import example, manual
from appliance.config.setting import declarations
from appliance.metrics import catalogue

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
    for name, _, about in COMMANDS:
        assert f"`jackfield {name}`: {about}" in text


def test_the_shipped_example_file_is_up_to_date() -> None:
    """After a change of declarations: jackfield reference example > conf.d/all-settings.example."""
    assert (ROOT / "conf.d" / "all-settings.example").read_text() == example()


def test_the_example_file_loads_when_its_sections_are_opened(tmp_path: Path) -> None:
    text = example().replace(" NAME]", " name]")
    lines = [line.removeprefix("#") if not line.startswith("# ") else "" for line in text.splitlines()]
    needed = {"transport = ": "udp", "port = ": "5060", "match = ": "any", "target = ": "aor", "kind = ": "echo"}
    filled = [line + " " + needed.get(line + " ", "") for line in lines]
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
