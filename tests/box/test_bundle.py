"""Update bundles: made by the command of firmware-image, judged with the real rauc, refused with the true reason."""

import os
import re
import subprocess
from pathlib import Path

import attrs
import pytest

from appliance.box.bundle import BLOCK, judge, number_of
from appliance.box.machine import Machine, Refused, run_program
from tests.box.bundles import FIRMWARE, Signer, make_bundle, make_signer, make_squashfs, trusting_box


@attrs.frozen
class Made:
    """One good bundle, the box that takes it, and what else was made with it."""

    signer: Signer
    squashfs: Path
    bundle: Path
    box: Machine


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("bundle")
    signer = make_signer(folder / "ours")
    squashfs = make_squashfs(folder / "rootfs.squashfs")
    bundle = make_bundle(signer, squashfs, "0.2.0", folder / "good.raucb")
    box = attrs.evolve(trusting_box(folder / "box", signer), run=run_program)
    return Made(signer, squashfs, bundle, box)


async def refusal(box: Machine, file: Path) -> str:
    with pytest.raises(Refused) as refused:
        await judge(box, file)
    return str(refused.value)


async def test_a_good_bundle_says_what_it_holds(made: Made) -> None:
    bundle = await judge(made.box, made.bundle)
    assert (bundle.name, bundle.version, bundle.compatible) == ("good.raucb", "0.2.0", "jackfield-amd64-vm")
    assert bundle.size == made.bundle.stat().st_size
    assert bundle.description == "Jackfield 0.2.0 (vm)"


async def test_one_of_another_key_is_refused(made: Made, tmp_path: Path) -> None:
    other = make_signer(tmp_path / "other")
    bundle = make_bundle(other, made.squashfs, "0.2.0", tmp_path / "foreign.raucb")
    assert await refusal(made.box, bundle) == "foreign.raucb is signed with a key that this box does not trust"


async def test_one_for_other_hardware_is_refused(made: Made, tmp_path: Path) -> None:
    bundle = make_bundle(made.signer, made.squashfs, "0.2.0", tmp_path / "metal.raucb", "metal")
    said = await refusal(made.box, bundle)
    assert said == "metal.raucb is for other hardware: jackfield-amd64-metal, this box is jackfield-amd64-vm"


async def test_one_older_than_allowed_is_refused(made: Made, tmp_path: Path) -> None:
    bundle = make_bundle(made.signer, made.squashfs, "0.0.9", tmp_path / "old.raucb")
    said = await refusal(made.box, bundle)
    assert said == "old.raucb is version 0.0.9, older than 0.1, the oldest that may be installed here"


@pytest.mark.parametrize("place", ["content", "tree", "manifest", "signature"])
async def test_one_that_was_changed_anywhere_is_refused(made: Made, tmp_path: Path, place: str) -> None:
    data = bytearray(made.bundle.read_bytes())
    signature = len(data) - 8 - int.from_bytes(data[-8:], "big")
    at = {
        "content": 1_000_000,
        "tree": signature - BLOCK + 5,
        "manifest": data.rindex(b"version=0.2.0") + 8,
        "signature": len(data) - 20,
    }[place]
    data[at] ^= 1
    changed = tmp_path / "changed.raucb"
    changed.write_bytes(data)
    said = await refusal(made.box, changed)
    assert said == "changed.raucb was changed after it was signed, or damaged on its way here"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not an update bundle"),
        (b"PK\x03\x04" + b"x" * 5000, "is not an update bundle"),
        (b"hsqs" + b"\0" * 20_000 + b"\xff" * 8, "is cut off, or not an update bundle: it carries no signature"),
    ],
)
async def test_what_is_no_bundle_is_refused(made: Made, tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "x.raucb").write_bytes(content)
    assert await refusal(made.box, tmp_path / "x.raucb") == f"x.raucb {said}"


async def test_one_that_is_cut_off_is_refused(made: Made, tmp_path: Path) -> None:
    (tmp_path / "x.raucb").write_bytes(made.bundle.read_bytes()[:-5000])
    assert "x.raucb is cut off" in await refusal(made.box, tmp_path / "x.raucb")


async def test_a_file_that_is_not_there_and_a_box_without_keyring_are_told(made: Made, tmp_path: Path) -> None:
    assert await refusal(made.box, tmp_path / "no.raucb") == "no.raucb cannot be read: No such file or directory"
    lost = attrs.evolve(trusting_box(tmp_path / "lost", made.signer), run=run_program)
    (tmp_path / "lost/etc/rauc/keyring.pem").unlink()
    assert "the keyring of this box cannot be read" in await refusal(lost, made.bundle)


@pytest.mark.parametrize(
    ("older", "newer"),
    [("1.9", "1.10"), ("0.1", "0.1.1"), ("0", "0.0.1"), ("what", "0"), ("", "0.1"), ("1.2-rc9", "1.3-rc1")],
)
def test_versions_are_compared_by_their_numbers(older: str, newer: str) -> None:
    assert number_of(older) < number_of(newer) or not number_of(older)
    assert number_of("1.2.0") == number_of("1.2") == number_of("1.2~rc1")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"RAUC_MF_VERSION": "0.1"}, ""),
        ({"RAUC_MF_VERSION": "0.10.0-rc1"}, ""),
        ({"RAUC_MF_VERSION": "0.0.9"}, "it is version 0.0.9, older than 0.1, the oldest that may be installed here"),
        ({"RAUC_MF_COMPATIBLE": "other"}, "it is for other hardware: other, this box is jackfield-amd64-vm"),
    ],
)
def test_the_check_inside_a_bundle_holds_for_who_calls_rauc_by_hand(
    tmp_path: Path, changes: dict[str, str], said: str
) -> None:
    (tmp_path / "oldest").write_text("0.1\n")
    facts = {"RAUC_MF_VERSION": "0.2.0", "RAUC_MF_COMPATIBLE": "jackfield-amd64-vm"}
    facts |= {"RAUC_SYSTEM_COMPATIBLE": "jackfield-amd64-vm", "JACKFIELD_OLDEST": str(tmp_path / "oldest")} | changes
    words = [FIRMWARE / "rauc" / "install-check", "install-check"]
    done = subprocess.run(words, env=os.environ | facts, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (10 if said else 0, said)


def test_a_developer_gets_a_key_outside_of_the_tree(made: Made, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JACKFIELD_UPDATE")}
    environment |= {"XDG_DATA_HOME": str(tmp_path / "home")}
    words = [FIRMWARE / "bundle", "0.3.0-rc1", made.squashfs, tmp_path / "mine.raucb"]
    for _ in range(2):
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert "making a developer's signing key" not in done.stderr
    key = tmp_path / "home/jackfield/update-key/key.pem"
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["one"], "usage: firmware-image/bundle"),
        (["v1", "/dev/null", "x"], "v1 is no version"),
        (["1.2", "/dev/null", "x"], "/dev/null is no squashfs"),
        (["1.2", "/dev/null", "x", "--flavour", "toaster"], "the flavour is vm or metal"),
    ],
)
def test_the_command_that_makes_bundles_says_what_it_needs(words: list[str], said: str) -> None:
    done = subprocess.run([FIRMWARE / "bundle", *words], capture_output=True, text=True, check=False)
    assert done.returncode in (1, 2)
    assert said in done.stderr


def test_no_key_lies_in_the_tree() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=FIRMWARE, capture_output=True, text=True, check=True).stdout
    assert not re.findall(r"^\S+\.(?:pem|key|crt|raucb)$", listed, re.MULTILINE)
