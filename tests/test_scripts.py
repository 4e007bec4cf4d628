"""The scripts and the locks: they parse, refuse what they do not know, and agree with pyproject.toml."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LOCKS = ("scripts/requirements.lock", "tests/requirements.lock")


def locked(file: str) -> dict[str, set[str]]:
    """Versions by package; some differ by the version of Python."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", (ROOT / file).read_text(), re.MULTILINE):
        found.setdefault(name, set()).add(version)
    return found


def names_of(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[=~>;<! ]", one)[0].lower() for one in requirements}


@pytest.mark.parametrize("file", LOCKS)
def test_every_locked_package_has_hashes_and_no_address(file: str) -> None:
    text = (ROOT / file).read_text()
    assert "//" not in text
    for block in re.split(r"\n(?=[a-z])", text):
        if "==" in block:
            assert "--hash=sha256:" in block


def test_the_locks_hold_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    run, test = locked(LOCKS[0]), locked(LOCKS[1])
    assert names_of(project["project"]["dependencies"]) <= set(run)
    assert names_of(project["dependency-groups"]["test"]) <= set(test)
    assert {name: test.get(name) for name in run} == run


@pytest.mark.parametrize("file", ["scripts/run", "scripts/test", "scripts/lock", "scripts/install-debian", ".ci/run"])
def test_a_script_parses_and_may_be_run(file: str) -> None:
    path = ROOT / file
    assert path.stat().st_mode & 0o111
    shell = path.read_text().partition("\n")[0].removeprefix("#!")
    subprocess.run([shell, "-n", path], check=True)


def test_run_refuses_an_option_it_does_not_know() -> None:
    done = subprocess.run([ROOT / "scripts" / "run", "--port", "1"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage: scripts/run [--conf-dir DIR] [--state-dir DIR]" in done.stderr


def test_run_needs_a_directory_after_its_option() -> None:
    done = subprocess.run([ROOT / "scripts" / "run", "--conf-dir"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--conf-dir needs a directory" in done.stderr
