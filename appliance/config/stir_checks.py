"""Contradictions in what [stir] and the trunks say of signatures: keys that do not match, trunks that cannot sign."""

from __future__ import annotations

from collections.abc import Iterator

from .mistakes import Mistake
from .places import Places
from .settings import Settings
from .stir import Signing, Verification
from .stir_material import load_authorities, load_certificates, load_key


def stir_contradictions(settings: Settings, places: Places) -> Iterator[Mistake]:
    """Every one, in no order."""
    if places.sound("stir"):
        yield from _section(settings, places)
    stir = settings.stir
    for trunk in settings.trunks.values():
        if not places.sound("trunk", trunk.name):
            continue
        title = f"[trunk {trunk.name}]"
        if trunk.sign is not Signing.NO and (stir.certificate is None or not stir.x5u):
            place = places.of("trunk", trunk.name, "sign")
            remedy = "Give [stir] the certificate and its x5u, or make sign no"
            yield Mistake(place, title, "sign", "there is nothing to sign with", remedy)
        if trunk.verify is not Verification.OFF and stir.authorities is None:
            place = places.of("trunk", trunk.name, "verify")
            remedy = "Give [stir] the authorities, or make verify off"
            yield Mistake(place, title, "verify", "no authority is known whose certificates could be believed", remedy)
        if trunk.verify is Verification.REQUIRE and not stir.wait_ms:
            place = places.of("trunk", trunk.name, "verify")
            mistake = "require refuses the first call with each certificate, since [stir] wait is 0"
            yield Mistake(place, title, "verify", mistake, "Give [stir] wait, 2 s perhaps, or make verify mark")


def _section(settings: Settings, places: Places) -> Iterator[Mistake]:
    stir = settings.stir

    def mistake(key: str, what: str, remedy: str) -> Mistake:
        return Mistake(places.of("stir", "", key), "[stir]", key, what, remedy)

    if stir.x5u and not stir.x5u.startswith("https://"):
        yield mistake("x5u", f"{stir.x5u} is not https", "Publish the certificate by https: others fetch no other")
    if stir.certificate is not None:
        try:
            load_certificates(stir.certificate)
        except ValueError as error:
            yield mistake("certificate", str(error), "Name the PEM file of the certificate")
        else:
            try:
                load_key(stir)
            except ValueError as error:
                key = "private-key" if stir.private_key is not None else "certificate"
                yield mistake(key, str(error), "Name the PEM file of the key that the certificate was issued for")
    elif stir.private_key is not None:
        yield mistake("private-key", "stands without a certificate", "Give the certificate too")
    try:
        load_authorities(stir.authorities)
    except ValueError as error:
        yield mistake("authorities", str(error), "Name a PEM file, or a directory of such files")
    if stir.numberplan is not None and stir.numberplan not in places.written("numberplan"):
        remedy = f"Add a section [numberplan {stir.numberplan}], or give none"
        yield mistake("numberplan", f"there is no [numberplan {stir.numberplan}]", remedy)
