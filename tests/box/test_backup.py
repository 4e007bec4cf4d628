"""Backup and restore: all that makes a box comes back, and a file with any fault in it changes nothing."""

import gzip
import hashlib
import io
import json
import random
import sqlite3
import tarfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.box import restoring
from appliance.box.archive import ArchiveReader, Entry, Manifest, manifest_untrusted, write_archive
from appliance.box.restoring import stage, take_up
from appliance.box.saving import Places, make_backup
from appliance.box.sealing import MAGIC, Damaged
from appliance.cli import main
from appliance.config.loader import load_settings
from appliance.config.mistakes import ConfigRejected
from appliance.control.backup import BackupControl, take_up_restore
from tests.test_app import CONF, appliance_in

PASSPHRASE = "correct horse battery"


def make_box(folder: Path) -> tuple[Path, Path]:
    """A box that has never run, with one of everything: its conf_dir and state_dir."""
    conf_dir, state_dir = folder / "conf.d", folder / "state"
    conf_dir.mkdir(parents=True)
    (conf_dir / "10-box.conf").write_text(CONF + "[numbers agents]\nfile = lists/agents.dn\n[line e]\nkind = echo\n")
    (conf_dir / "lists").mkdir()
    (conf_dir / "lists" / "agents.dn").write_text("2100 line:e\n")
    state_dir.mkdir(mode=0o700)
    for name in ("certificate.pem", "private-key.pem", "token.key", "passwords.json"):
        (state_dir / name).write_bytes(name.encode() * 20)
    with closing(sqlite3.connect(state_dir / "jackfield.sqlite")) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE binding (aor TEXT)")
        database.execute("INSERT INTO binding VALUES ('sip:1001@example.com')")
        database.commit()
    (state_dir / "records" / "journal").mkdir(parents=True)
    (state_dir / "records" / "records.duckdb").write_bytes(b"duck")
    (state_dir / "trace").mkdir()
    (state_dir / "trace" / "1.trace").write_bytes(b"x" * 100)
    return conf_dir, state_dir


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, those that locks and databases leave aside."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).digest()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != "lock" and not file.name.endswith(("-wal", "-shm"))
    }


def directories(conf_dir: Path, state_dir: Path) -> list[str]:
    return ["--conf-dir", str(conf_dir), "--state-dir", str(state_dir)]


def command(name: str, box: tuple[Path, Path], *words: object) -> int:
    return main([name, *map(str, words), *directories(*box)])


def test_everything_comes_back_on_another_box(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = make_box(tmp_path / "old"), make_box(tmp_path / "new")
    (new[0] / "90-mine.conf").write_text("[user 9]\n")
    (new[1] / "token.key").write_bytes(b"another")
    assert command("backup", old, tmp_path / "b.tar.gz") == 0
    assert "with call records" in capsys.readouterr().out
    assert (tmp_path / "b.tar.gz").stat().st_mode & 0o077 == 0
    before = tree(new[0]), tree(new[1])
    assert command("restore", new, tmp_path / "b.tar.gz") == 0
    assert "jackfield restore --back" in capsys.readouterr().out
    assert set(load_settings(new[0]).users) == {"1001"}
    assert (new[1] / "token.key").read_bytes() == (old[1] / "token.key").read_bytes()
    assert (new[1] / "records" / "records.duckdb").read_bytes() == b"duck"
    with closing(sqlite3.connect(new[1] / "jackfield.sqlite")) as database:
        assert database.execute("SELECT aor FROM binding").fetchall() == [("sip:1001@example.com",)]
    assert (new[1] / "private-key.pem").stat().st_mode & 0o777 == 0o600
    assert command("restore", new, "--back") == 0
    assert (tree(new[0])["90-mine.conf"], (new[1] / "token.key").read_bytes()) == (
        before[0]["90-mine.conf"],
        b"another",
    )
    assert not (new[0] / ".restore").exists()


def test_unencrypted_it_is_a_tar_that_anybody_opens(tmp_path: Path) -> None:
    box = make_box(tmp_path)
    long = "n" * 120 + ".dn"
    (box[0] / long).write_text("# nothing\n")
    assert command("backup", box, tmp_path / "b.tar.gz", "--no-records") == 0
    with tarfile.open(tmp_path / "b.tar.gz") as archive:
        names = archive.getnames()
    assert names[0] == "manifest.json"
    assert {"conf/10-box.conf", f"conf/{long}", "conf/lists/agents.dn", "state/token.key"} <= set(names)
    assert not [name for name in names if "trace" in name or "records" in name or "lock" in name]
    (box[0] / long).unlink()
    assert command("restore", box, tmp_path / "b.tar.gz") == 0
    assert (box[0] / long).exists()
    assert (box[1] / "records" / "records.duckdb").exists(), "records stay where the backup has none"


def test_encrypted_it_needs_the_passphrase(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    box, key = make_box(tmp_path), tmp_path / "key"
    key.write_text(PASSPHRASE + "\n")
    assert command("backup", box, tmp_path / "b.backup", "--passphrase-file", key) == 0
    data = (tmp_path / "b.backup").read_bytes()
    assert data.startswith(MAGIC)
    assert b"token.key" not in data
    before = tree(box[1])
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert command("restore", box, tmp_path / "b.backup") == 1
    assert "is encrypted" in capsys.readouterr().err
    key.write_text("another passphrase\n")
    assert command("restore", box, tmp_path / "b.backup", "--passphrase-file", key) == 1
    said = capsys.readouterr().err
    assert "the passphrase is wrong" in said
    assert "Nothing was changed." in said
    assert tree(box[1]) == before
    key.write_text(PASSPHRASE + "\n")
    assert command("restore", box, tmp_path / "b.backup", "--passphrase-file", key) == 0
    monkeypatch.setattr("sys.stdin", io.StringIO(PASSPHRASE + "\n"))
    assert command("restore", box, tmp_path / "b.backup") == 0, "it is asked for without being told to"
    key.write_text("short\n")
    assert command("backup", box, tmp_path / "c.backup", "--passphrase-file", key) == 1
    assert not (tmp_path / "c.backup").exists()


def test_what_the_configuration_needs_and_lies_elsewhere_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    box = make_box(tmp_path)
    (tmp_path / "agents.dn").write_text("2100 line:e\n")
    (box[0] / "20-more.conf").write_text(f"[numbers others]\nfile = {tmp_path}/agents.dn\n")
    assert command("backup", box, tmp_path / "b.tar.gz") == 0
    assert f"Not in it, for it lies elsewhere: {tmp_path}/agents.dn" in capsys.readouterr().out


# What is wrong changes nothing


def backup_of(folder: Path, passphrase: str | None = None) -> bytes:
    conf_dir, state_dir = make_box(folder)
    found = load_settings(conf_dir)
    file = folder / "made"
    make_backup(file, Places.of(conf_dir, state_dir, found), found, "1.0", passphrase=passphrase, now=1e9)
    return file.read_bytes()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Mapping[bool, bytes]:
    return {
        False: backup_of(tmp_path_factory.mktemp("plain")),
        True: backup_of(tmp_path_factory.mktemp("sealed"), PASSPHRASE),
    }


@pytest.fixture(scope="module")
def living(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_box(tmp_path_factory.mktemp("living"))


@pytest.mark.parametrize("sealed", [False, True])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(), how=st.sampled_from(["cut", "flip", "swap", "more", "hole"]))
def test_a_damaged_file_restores_nothing_at_all(
    made: Mapping[bool, bytes], living: tuple[Path, Path], sealed: bool, seed: int, how: str
) -> None:
    chance, data = random.Random(seed), bytearray(made[sealed])
    at = chance.randrange(len(data))
    match how:
        case "cut":
            del data[at:]
        case "flip":
            data[at] ^= 1 << chance.randrange(8)
        case "swap":
            other = chance.randrange(len(data))
            data[at], data[other] = data[other], data[at]
        case "more":
            data += chance.randbytes(chance.randrange(1, 2000))
        case "hole":
            data[at : at + chance.randrange(1, 600)] = b""
    before = tree(living[0]), tree(living[1])
    try:
        manifest = stage(io.BytesIO(bytes(data)), *living, PASSPHRASE if sealed else None)
    except (Damaged, ConfigRejected):
        assert not restoring.is_ready(living[1])
        assert not (living[0] / ".restore").exists()
    else:
        # Bits that mean nothing (the time in gzip's header, say): then every file is whole.
        for entry in manifest.files:
            place, _, name = entry.path.partition("/")
            file = (living[0] / ".restore" if place == "conf" else living[1] / "restore") / name
            assert hashlib.sha256(file.read_bytes()).hexdigest() == entry.sha256
        restoring.forget(*living)
    assert (tree(living[0]), tree(living[1])) == before


def packed(files: list[tuple[str, bytes]], said: dict[str, Any] | None = None, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A backup by hand."""
    entries = [
        {"path": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest(), "mode": 0o600}
        for name, data in files
    ]
    facts: dict[str, Any] = {"format": 1, "made_at": 1, "version": "1", "box": "b", "records": False}
    facts |= {"records_folder": "records", "outside": [], "files": entries} | (said or {})
    out = io.BytesIO()
    for name, data in [("manifest.json", json.dumps(facts).encode()), *files]:
        head = tarfile.TarInfo(name)
        head.size = len(data)
        head.type = tarfile.REGTYPE if name == "manifest.json" else kind
        out.write(head.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape") + data + bytes(-len(data) % 512))
    return gzip.compress(out.getvalue() + bytes(1024))


GOOD = ("conf/10-box.conf", CONF.encode())


@pytest.mark.parametrize(
    "path",
    [
        "../x",
        "conf/../../x",
        "/etc/x",
        "conf//x",
        "conf/./x",
        "state",
        "conf",
        "home/x",
        "state/a/../x",
        "conf/\0x",
        "",
    ],
)
def test_a_name_that_leads_outside_is_refused(living: tuple[Path, Path], path: str) -> None:
    with pytest.raises(Damaged, match="would lie outside"):
        stage(io.BytesIO(packed([GOOD, (path, b"x")])), *living)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (packed([GOOD, GOOD]), "the same name"),
        (packed([GOOD, ("state/a", b""), ("state/a/b", b"")]), "the same name"),
        (packed([GOOD], kind=tarfile.SYMTYPE), "no plain file"),
        (packed([GOOD], kind=tarfile.XHDTYPE), "no plain file"),
        (packed([GOOD], {"format": 2}), "format 2, this Jackfield reads 1"),
        (packed([GOOD], {"files": []}), "does not end where its manifest ends"),
        (packed([], {"files": [{"path": "state/x", "size": 1 << 61, "sha256": "", "mode": 0}]}), "is the most"),
        (packed([], {"files": [{"path": "state/x", "size": -1, "sha256": "", "mode": 0}]}), "manifest is damaged"),
        (packed([], {"files": {}} | {"made_at": []}), "manifest is damaged"),
        (
            packed([], {"files": [{"path": "state/x", "size": 0, "sha256": "", "mode": 0}] * 20_001}),
            "more than 20000 files",
        ),
        (b"", "is cut off"),
        (b"PK\3\4 something else", "no backup of Jackfield"),
        (gzip.compress(b"\0" * 2000), "is damaged"),
        (MAGIC, "ends in its header"),
        (MAGIC + b"\xff" * 100, "header of the file is damaged"),
    ],
)
def test_what_is_no_backup_of_ours_is_refused_with_a_reason(living: tuple[Path, Path], data: bytes, why: str) -> None:
    before = tree(living[0]), tree(living[1])
    with pytest.raises(Damaged, match=why):
        stage(io.BytesIO(data), *living, PASSPHRASE)
    assert (tree(living[0]), tree(living[1])) == before


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(["format", "files", "path", "size", "sha256", "mode", "outside"]), inner)
        ),
    )
)
def test_any_manifest_is_read_or_refused(said: object) -> None:
    try:
        manifest_untrusted(json.dumps(said).encode())
    except Damaged:
        pass


def test_a_configuration_with_mistakes_is_refused_by_file_and_remedy(tmp_path: Path) -> None:
    conf_dir, state_dir = make_box(tmp_path)
    bad = packed([("conf/10-box.conf", CONF.encode()), ("conf/20-bad.conf", b"[user 2]\npasswrod = x\n")])
    with pytest.raises(ConfigRejected, match=r"backup:conf.d/20-bad.conf:2: .* Did you mean password"):
        stage(io.BytesIO(bad), conf_dir, state_dir)
    assert not restoring.is_ready(state_dir)


@pytest.mark.parametrize(
    ("schema", "spoil", "why"), [(9, False, "of version 9, this Jackfield reads up to 2"), (2, True, "is damaged")]
)
def test_a_database_that_cannot_be_read_here_is_refused(tmp_path: Path, schema: int, spoil: bool, why: str) -> None:
    with closing(sqlite3.connect(tmp_path / "x")) as database:
        database.executescript(f"CREATE TABLE a (b); PRAGMA user_version = {schema};")
    data = (tmp_path / "x").read_bytes()
    if spoil:
        data = data[:100] + b"\xff" * 4000
    box = make_box(tmp_path / "box")
    with pytest.raises(Damaged, match=why):
        stage(io.BytesIO(packed([GOOD, ("state/jackfield.sqlite", data)])), *box, newest_schema=2)


def test_a_file_that_changes_while_it_is_written_is_noticed() -> None:
    entry = Entry("state/x", 3, hashlib.sha256(b"abc").hexdigest())
    manifest = Manifest(made_at=0, version="1", box="b", records=False, files=(entry,))
    with pytest.raises(ValueError, match="changed while it was written"):
        write_archive(io.BytesIO(), manifest, lambda one: io.BytesIO(b"abd"))


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 300_000])
def test_pieces_of_every_size_come_back_sealed(size: int) -> None:
    data = random.Random(size).randbytes(size)
    entry = Entry("state/x", size, hashlib.sha256(data).hexdigest())
    out = io.BytesIO()
    manifest = Manifest(made_at=0, version="1", box="b", records=False, files=(entry,))
    write_archive(out, manifest, lambda one: io.BytesIO(data), PASSPHRASE)
    out.seek(0)
    [(found, pieces)] = [(one, b"".join(pieces)) for one, pieces in ArchiveReader(out, PASSPHRASE).files()]
    assert (found, pieces) == (entry, data)


# The swap


def test_a_swap_that_is_cut_off_anywhere_is_finished_by_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = backup_of(tmp_path / "source")
    real, wanted = Path.rename, None
    for cut in range(40):
        box = make_box(tmp_path / f"box-{cut}")
        (box[0] / "90-mine.conf").write_text("[user 9]\n")
        stage(io.BytesIO(data), *box)
        left = iter(range(cut))

        def rename(path: Path, target: Path, left: Iterator[int] = left) -> Path:
            if next(left, None) is None:
                raise OSError(5, "the power is gone")
            return real(path, target)

        monkeypatch.setattr(Path, "rename", rename)
        try:
            take_up(box[1])
            done = True
        except OSError:
            done = False
        monkeypatch.setattr(Path, "rename", real)
        if not done:
            assert restoring.is_ready(box[1])
            take_up_restore(box[1])
        kept = {file for file in tree(box[0]) if file.startswith(".before-restore-")}
        assert {Path(file).name for file in kept} >= {"10-box.conf", "90-mine.conf"}
        found = {name for name in tree(box[0]) if not name.startswith(".before")}
        wanted = wanted or found
        assert found == wanted == {"10-box.conf", "lists/agents.dn"}
        assert not restoring.is_ready(box[1])
        if done:
            break
    assert done


def test_only_the_last_two_states_of_before_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, box, now = backup_of(tmp_path / "source"), make_box(tmp_path / "box"), iter(range(10**9, 10**9 + 9))
    monkeypatch.setattr(restoring.time, "time", partial(next, now))
    for _ in range(4):
        stage(io.BytesIO(data), *box)
        take_up(box[1])
    assert len(list(box[1].glob("before-restore-*"))) == len(list(box[0].glob(".before-restore-*"))) == 2


# Beside a running box


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 1000):
        yield data[at : at + 1000]


async def test_a_running_box_is_backed_up_with_its_records_and_restored_at_its_next_start(tmp_path: Path) -> None:
    state_dir = tmp_path / "var"
    async with appliance_in(tmp_path) as appliance:
        assert appliance.telephony is not None
        records = appliance.telephony.records
        records.event("test", "something happened")
        box = tmp_path, state_dir
        words = partial(command, "backup", box, tmp_path / "b.gz")
        assert await trio.to_thread.run_sync(words) == 0
        control = BackupControl(tmp_path, state_dir, lambda: appliance.settings, records)
        name, file = await control.make(PASSPHRASE, records=True)
        sealed = file.read_bytes()
        assert name.endswith(".backup")
        token = (state_dir / "token.key").read_bytes()
        assert "bytes came" in str((await control.receive(len(sealed), pieces(sealed[1000:])))["error"])
        assert "room for" in str((await control.receive(1 << 60, pieces(b"")))["error"])
        assert (await control.receive(len(sealed), pieces(sealed)))["ok"]
        assert (await control.take("wrong words"))["ok"] is False
        assert (await control.receive(None, pieces(sealed)))["ok"]
        answer = await control.take(PASSPHRASE)
        assert answer["ok"]
        assert "with call records" in str(answer["changes"])
        assert (state_dir / "token.key").read_bytes() == token
    (state_dir / "token.key").write_bytes(b"spoilt")
    take_up_restore(state_dir)
    assert (state_dir / "token.key").read_bytes() == token
    with duckdb.connect(state_dir / "records" / "records.duckdb") as database:
        tables = database.execute(
            "SELECT table_name FROM duckdb_tables() WHERE starts_with(table_name, 'events_')"
        ).fetchall()  # two where a day ended meanwhile
        found = [
            row
            for (table,) in tables
            for row in database.execute(f"SELECT kind, subject FROM {table} WHERE kind = 'test'").fetchall()
        ]
        assert found == [("test", "something happened")]
    with tarfile.open(tmp_path / "b.gz") as archive:
        assert "state/records/records.duckdb" in archive.getnames()
        assert not [one for one in archive.getnames() if one.startswith("conf/var")]
