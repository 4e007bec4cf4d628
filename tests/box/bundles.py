"""Update bundles made by firmware-image/bundle with keys of the test, and a box that trusts one of them."""

import os
import shutil
import subprocess
from pathlib import Path

import attrs

from appliance.box.machine import Machine
from tests.box.machines import Programs, image_in

FIRMWARE = Path(__file__).parents[2] / "firmware-image"


@attrs.frozen
class Signer:
    """A key with its certificate, in a folder of its own."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            "JACKFIELD_UPDATE_KEY": str(self.folder / "key.pem"),
            "JACKFIELD_UPDATE_CERTIFICATE": str(self.folder / "certificate.pem"),
        }

    @property
    def certificate(self) -> Path:
        return self.folder / "certificate.pem"


def make_signer(folder: Path, *options: str) -> Signer:
    folder.mkdir(parents=True)
    script = f'say() {{ :; }}; . "{FIRMWARE}/signing"; make_signing_key "{folder}" "Test of {folder.name}"'
    subprocess.run(["bash", "-euc", script], check=True)
    return Signer(folder)


def make_squashfs(file: Path, megabytes: int = 2) -> Path:
    """With something in it that does not compress."""
    tree = file.with_suffix(".tree")
    tree.mkdir()
    (tree / "content").write_bytes(os.urandom(megabytes << 20))
    subprocess.run(["mksquashfs", tree, file, "-quiet", "-no-progress", "-noappend"], check=True, capture_output=True)
    shutil.rmtree(tree)
    return file


def make_bundle(signer: Signer, squashfs: Path, version: str, file: Path, flavour: str = "vm") -> Path:
    words = [FIRMWARE / "bundle", version, squashfs, file, "--flavour", flavour]
    subprocess.run(words, env=signer.environment, check=True, capture_output=True, text=True)
    return file


def trusting_box(folder: Path, signer: Signer, programs: Programs | None = None, oldest: str = "0.1") -> Machine:
    """A box of the flavour vm, with RAUC configured as in an image; only the places of its data are in the folder."""
    machine = image_in(folder, programs)
    subprocess.run([FIRMWARE / "rauc" / "configure", folder, "vm"], env=signer.environment, check=True)
    conf = folder / "etc/rauc/system.conf"
    text = conf.read_text().replace("/efi/grub/grubenv", f"{folder}/efi/grub/grubenv")
    for name in ("slot-a", "slot-b"):
        text = text.replace(f"/dev/disk/by-partlabel/{name}", f"{folder}/{name}")
    text = text.replace("/run/rauc", f"{folder}/run/rauc").replace("/data/rauc", f"{folder}/data/rauc")
    conf.write_text(text)
    for made in ("run/rauc", "data/rauc", "efi/grub", "usr/lib/jackfield"):
        (folder / made).mkdir(parents=True, exist_ok=True)
    (folder / "usr/lib/jackfield/oldest").write_text(f"{oldest}\n")
    return machine
