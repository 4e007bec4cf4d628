"""The copy that is made before another version starts, and what a version that comes back gets from its own."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from appliance.box.machine import Machine, NotOurImage, Refused
from appliance.box.snapshot import MOST_KEPT, before_start, snapshots
from tests.box.machines import image_in

DROP_IN = "[appliance]\nname = box\n[listener udp]\ntransport = udp\nport = 5060\n"
Box = Callable[[str], Machine]


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """The machine as it starts with a version."""

    def start(version: str) -> Machine:
        machine = image_in(tmp_path)
        (tmp_path / "etc/os-release").write_text(f"IMAGE_ID=jackfield\nIMAGE_VERSION={version}\n")
        return machine

    return start


def write_database(machine: Machine, schema: int, text: str, name: str = "jackfield.sqlite") -> None:
    with closing(sqlite3.connect(machine.state_dir / name)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE IF NOT EXISTS said (text TEXT)")
        database.execute("INSERT INTO said VALUES (?)", [text])
        database.execute(f"PRAGMA user_version = {schema}")
        database.commit()


def read_database(machine: Machine, name: str = "jackfield.sqlite") -> list[str]:
    with closing(sqlite3.connect(machine.state_dir / name)) as database:
        return [text for (text,) in database.execute("SELECT text FROM said")]


def configure(machine: Machine, text: str) -> Path:
    file = machine.conf_dir / "10-box.conf"
    file.write_text(text)
    return file


def test_a_version_that_starts_again_copies_nothing(box: Box) -> None:
    write_database(box("1.0"), 1, "old")
    assert before_start(box("1.0")) == []
    assert before_start(box("1.0")) == []
    assert snapshots(box("1.0")) == []


def test_another_version_finds_a_copy_of_what_the_last_one_left(box: Box) -> None:
    before_start(box("1.0"))
    machine = box("1.1")
    write_database(machine, 1, "old")
    configure(machine, DROP_IN)
    assert before_start(machine) == ["configuration and databases of version 1.0 were copied"]
    assert snapshots(machine) == ["1.0"]
    copy = machine.own / "snapshots/1.0"
    assert (copy / "conf.d/10-box.conf").read_text() == DROP_IN
    assert (copy / "state/jackfield.sqlite").exists()
    assert (copy / "state/jackfield.sqlite").stat().st_mode & 0o777 == (
        machine.state_dir / "jackfield.sqlite"
    ).stat().st_mode & 0o777
    assert before_start(machine) == []


def test_a_version_that_comes_back_gets_a_database_that_it_understands(box: Box) -> None:
    before_start(box("1.0"))
    write_database(box("1.0"), 1, "old")
    write_database(box("1.0"), 1, "other", "other.sqlite")
    before_start(box("1.1"))
    write_database(box("1.1"), 2, "migrated")
    write_database(box("1.1"), 1, "since then", "other.sqlite")
    done = before_start(box("1.0"))
    assert len(done) == 2
    assert done[1].startswith("jackfield.sqlite was of a newer schema")
    assert read_database(box("1.0")) == ["old"]
    assert read_database(box("1.0"), "other.sqlite") == ["other", "since then"], "what it can read stays"
    before_start(box("1.1"))
    assert read_database(box("1.1")) == ["old"], "and goes forward again"


def test_a_version_that_comes_back_gets_a_configuration_that_it_understands(box: Box) -> None:
    before_start(box("1.0"))
    file = configure(box("1.0"), DROP_IN)
    before_start(box("1.1"))
    file.write_text(DROP_IN + "[telepathy]\nrange = 5\n")
    (file.parent / "20-new.conf").write_text("[telepathy]\n")
    done = before_start(box("1.0"))
    assert "the configuration was written for a newer version" in done[1]
    assert file.read_text() == DROP_IN
    assert [one.name for one in file.parent.iterdir()] == ["10-box.conf"]
    assert "telepathy" in (box("1.0").own / "snapshots/1.1/conf.d/10-box.conf").read_text()


def test_a_configuration_that_is_understood_stays(box: Box) -> None:
    before_start(box("1.0"))
    file = configure(box("1.0"), DROP_IN)
    before_start(box("1.1"))
    file.write_text(DROP_IN.replace("box", "changed"))
    assert len(before_start(box("1.0"))) == 1
    assert "changed" in file.read_text()


def test_only_a_few_copies_are_kept(box: Box) -> None:
    for number in range(6):
        before_start(box(f"1.{number}"))
    assert snapshots(box("1.5")) == ["1.4", "1.3", "1.2"][:MOST_KEPT]


def test_a_link_to_a_file_of_somebody_else_is_not_copied(box: Box, tmp_path: Path) -> None:
    before_start(box("1.0"))
    (tmp_path / "secret").write_text("SQLite format 3\0")
    (box("1.0").state_dir / "link.sqlite").symlink_to(tmp_path / "secret")
    (box("1.0").conf_dir / "link.conf").symlink_to(tmp_path / "secret")
    before_start(box("1.1"))
    assert not list((box("1.1").own / "snapshots/1.0").rglob("link*"))


def test_without_room_nothing_is_half_copied(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    before_start(box("1.0"))
    write_database(box("1.0"), 1, "old")

    class Full:
        f_bavail, f_frsize = 1, 4096

    monkeypatch.setattr("os.statvfs", lambda path: Full)
    with pytest.raises(Refused, match="there is no room for a copy"):
        before_start(box("1.1"))
    assert snapshots(box("1.1")) == []


def test_on_another_machine_nothing_is_touched(tmp_path: Path) -> None:
    with pytest.raises(NotOurImage):
        before_start(Machine(tmp_path))
    assert not list(tmp_path.iterdir())
