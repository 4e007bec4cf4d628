"""Taking a backup back: everything is proved first, then laid ready, then swapped in; what was there is kept.

`stage` reads the file to its end into folders beside the real ones and has the configuration checked there; until it
has returned nothing of the box has changed. `take_up`, under the lock of the state directory, puts the present files
aside and the new ones in their place. Where it is cut off, the next start carries it on: what has begun is finished.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO, Final

import attrs

from ..config.loader import load_settings
from ..config.mistakes import ConfigRejected
from ..logs import log
from .archive import MOST_BYTES, ArchiveReader, Manifest
from .machine import sync_directory, write_file
from .saving import NOT_OURS, SET_ASIDE, STAGING, holds
from .sealing import Damaged

MARK: Final = "restore.json"
_STAGED: Final = "restore"
KEPT: Final = 2
"""So many states from before a restore are kept."""
_SPARE_BYTES: Final = 64 << 20
_SQLITE: Final = b"SQLite format 3\0"


def stage(
    source: BinaryIO,
    conf_dir: Path,
    state_dir: Path,
    passphrase: str | None = None,
    *,
    newest_schema: int | None = None,
) -> Manifest:
    """Lay a backup ready; it is taken up by `take_up`. What is in it.

    `newest_schema`: the highest version of a database that this Jackfield reads. Raises `Damaged`, `ConfigRejected`
    with the names of the backup's files, or `OSError`; then nothing has changed and nothing is ready.
    """
    forget(conf_dir, state_dir)
    staged = {"conf": conf_dir / STAGING, "state": state_dir / _STAGED}
    try:
        reader = ArchiveReader(source, passphrase, most_bytes=_most_bytes(conf_dir, state_dir))
        for folder in staged.values():
            folder.mkdir(mode=0o700)
        for entry, pieces in reader.files():
            place, _, name = entry.path.partition("/")
            _write(staged[place] / name, pieces, entry.mode | 0o600 if place == "conf" else 0o600)
        _check_configuration(staged["conf"], conf_dir)
        for file in _files(staged["state"]):
            _check_database(file, file.relative_to(staged["state"]), newest_schema)
    except BaseException:
        forget(conf_dir, state_dir)
        raise
    _sync(staged.values())
    stays = "" if reader.manifest.records else reader.manifest.records_folder
    _mark(state_dir, _Mark("staged", str(conf_dir.resolve()), stays, _new_name(state_dir)))
    return reader.manifest


def forget(conf_dir: Path, state_dir: Path) -> None:
    """Nothing is ready any more. One that has begun to be taken up stays: raises `Damaged`."""
    mark = _marked(state_dir)
    if mark is not None and mark.phase != "staged":
        raise Damaged("a restore was cut off in its middle: start Jackfield once, which finishes it, then try again")
    (state_dir / MARK).unlink(missing_ok=True)
    for folder in (conf_dir / STAGING, state_dir / _STAGED):
        if folder.exists():
            shutil.rmtree(folder)


def is_ready(state_dir: Path) -> bool:
    """Whether something waits to be taken up, or to be finished."""
    return (state_dir / MARK).exists()


def take_up(state_dir: Path) -> Path | None:
    """Swap in what is ready; the folder that keeps the state of before, None where nothing was ready.

    The caller holds the lock of the state directory. Raises `OSError`; it may be called again.
    """
    mark = _marked(state_dir)
    if mark is None:
        return None
    conf_dir, records_stay = Path(mark.conf_dir), mark.records_stay
    name = mark.name
    swaps = (
        _Swap(conf_dir, conf_dir / STAGING, conf_dir / f".{name}", lambda path: holds(path, state_dir)),
        _Swap(
            state_dir,
            state_dir / _STAGED,
            state_dir / name,
            lambda path: path.name in NOT_OURS or path.name == records_stay or holds(path, conf_dir),
        ),
    )
    if mark.phase == "staged":
        mark = attrs.evolve(mark, phase="aside")
        _mark(state_dir, mark)
    if mark.phase == "aside":
        for swap in swaps:
            swap.put_aside()
        mark = attrs.evolve(mark, phase="in")
        _mark(state_dir, mark)
    for swap in swaps:
        swap.bring_in()
    (state_dir / MARK).unlink()
    sync_directory(state_dir)
    for folder, prefix in ((conf_dir, f".{SET_ASIDE}"), (state_dir, SET_ASIDE)):
        for old in sorted(folder.glob(f"{prefix}*"))[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)
    log.warning("restore.done", kept=swaps[1].aside, conf_kept=swaps[0].aside)
    return swaps[1].aside


def stage_the_state_before(conf_dir: Path, state_dir: Path) -> str:
    """Lay ready what the last restore put aside; its name. Raises `Damaged` where there is none."""
    forget(conf_dir, state_dir)
    kept = sorted(state_dir.glob(f"{SET_ASIDE}*"))
    if not kept or not (conf_dir / f".{kept[-1].name}").is_dir():
        raise Damaged("nothing is kept from before a restore")
    last = kept[-1]
    shutil.copytree(conf_dir / f".{last.name}", conf_dir / STAGING, symlinks=True)
    shutil.copytree(last, state_dir / _STAGED, symlinks=True)
    _sync((conf_dir / STAGING, state_dir / _STAGED))
    records = "" if (last / "records").exists() else "records"
    _mark(state_dir, _Mark("staged", str(conf_dir.resolve()), records, _new_name(state_dir)))
    return last.name


@attrs.frozen
class _Mark:
    """`phase` is staged, aside (the present files are being put aside) or in (the new ones come in). `records_stay`
    is the folder of call records that is not replaced, "" where it is. `name` is the folder that keeps what was."""

    phase: str
    conf_dir: str
    records_stay: str
    name: str


@attrs.frozen
class _Swap:
    """One folder: everything in it but what `stays` is put aside, everything staged comes in."""

    folder: Path
    staged: Path
    aside: Path
    stays: Callable[[Path], bool]

    def put_aside(self) -> None:
        self.aside.mkdir(mode=0o700, exist_ok=True)
        for path in sorted(self.folder.iterdir()):
            ours = path == self.staged or path.name.lstrip(".").startswith(SET_ASIDE)
            if not ours and not self.stays(path):
                path.rename(self.aside / path.name)
        _sync((self.aside, self.folder), deep=False)

    def bring_in(self) -> None:
        if self.staged.exists():
            for path in sorted(self.staged.iterdir()):
                path.rename(self.folder / path.name)
            _sync((self.staged, self.folder), deep=False)
            self.staged.rmdir()


def _new_name(state_dir: Path) -> str:
    """Of the folder for what is put aside; the names sort by their time."""
    at = time.strftime("%Y%m%d-%H%M%S", time.gmtime(time.time()))
    number = 0
    while (state_dir / f"{SET_ASIDE}{at}-{number}").exists():
        number += 1
    return f"{SET_ASIDE}{at}-{number}"


def _mark(state_dir: Path, mark: _Mark) -> None:
    write_file(state_dir / MARK, json.dumps(attrs.asdict(mark)).encode())


def _marked(state_dir: Path) -> _Mark | None:
    try:
        said: Any = json.loads((state_dir / MARK).read_bytes())
        return _Mark(str(said["phase"]), str(said["conf_dir"]), str(said["records_stay"]), Path(str(said["name"])).name)
    except FileNotFoundError:
        return None


def _most_bytes(conf_dir: Path, state_dir: Path) -> int:
    free = min(shutil.disk_usage(folder).free for folder in (conf_dir, state_dir))
    return min(MOST_BYTES, max(0, free - _SPARE_BYTES))


def _write(file: Path, pieces: Iterator[bytes], mode: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(handle, "wb") as out:
        for piece in pieces:
            out.write(piece)
        os.fchmod(handle, mode & 0o755)


def _check_configuration(staged: Path, conf_dir: Path) -> None:
    """Raises ConfigRejected, whose places are those that the files will have."""
    try:
        load_settings(staged)
    except ConfigRejected as rejected:
        mistakes = [
            attrs.evolve(
                one,
                place=attrs.evolve(one.place, file=one.place.file.replace(str(staged), f"backup:{conf_dir.name}")),
                mistake=one.mistake.replace(str(staged), str(conf_dir)),
                remedy=one.remedy.replace(str(staged), str(conf_dir)),
            )
            for one in rejected.mistakes
        ]
        raise ConfigRejected(mistakes) from None


def _check_database(file: Path, name: Path, newest: int | None) -> None:
    with open(file, "rb") as data:
        if data.read(len(_SQLITE)) != _SQLITE:
            return
    try:
        with closing(sqlite3.connect(file)) as database:
            [(said,)] = database.execute("PRAGMA quick_check(1)").fetchall()
            [(version,)] = database.execute("PRAGMA user_version").fetchall()
    except sqlite3.Error as error:
        said, version = str(error), 0
    if said != "ok":
        raise Damaged(f"the database {name} of the backup is damaged ({said}): take an older backup")
    if newest is not None and version > newest:
        raise Damaged(
            f"the database {name} of the backup is of version {version}, this Jackfield reads up to {newest}: update it"
        )


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _sync(folders: Any, *, deep: bool = True) -> None:
    """Onto the disk: the names, and with `deep` also what the files hold."""
    for folder in folders:
        for path in [folder, *(folder.rglob("*") if deep else ())]:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
