"""PASSporTs and the Identity header that carries them: who calls whom, when, and who answers for it with a signature.

RFC 8225 (PASSporT, ES256 over canonical JSON), RFC 8588 (the "shaken" extension: attest, origid), RFC 8224 §4
(Identity). Whose key a signature was made with, and whether to trust it, is `stir_chain`'s and the proxy's question.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import attrs
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from appliance.sip.errors import BadMessage
from appliance.sip.uri import parse_params_untrusted, split_semicolons

_LONGEST = 8192
_LONGEST_TEXT = 512
_MOST_CALLED = 10
_LATEST = 2**40
_COORDINATE = 32
_ES256 = ec.ECDSA(hashes.SHA256())


@attrs.frozen
class Passport:
    """`orig` and `dest` are numbers in canonical form: digits without '+' (RFC 8224 §8.3). `iat` is in seconds."""

    orig: str
    dest: tuple[str, ...]
    iat: int
    x5u: str
    attest: str
    """"A", "B" or "C"."""
    origid: str


@attrs.frozen
class SignedPassport:
    """A PASSporT as it came, and the bytes that its signature is about."""

    passport: Passport
    signed: bytes
    signature: bytes

    def is_signed_with(self, key: ec.EllipticCurvePublicKey) -> bool:
        """Whether the signature was made with the private key of this one."""
        r = int.from_bytes(self.signature[:_COORDINATE], "big")
        s = int.from_bytes(self.signature[_COORDINATE:], "big")
        try:
            key.verify(encode_dss_signature(r, s), self.signed, _ES256)
        except InvalidSignature:
            return False
        return True


def canonical_json(value: Any) -> bytes:
    """Without blanks, keys in the order of their characters (RFC 8225 §9)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sign(passport: Passport, key: ec.EllipticCurvePrivateKey) -> str:
    """The Identity value in full form (RFC 8224 §4.1)."""
    header = {"alg": "ES256", "ppt": "shaken", "typ": "passport", "x5u": passport.x5u}
    claims = {
        "attest": passport.attest,
        "dest": {"tn": list(passport.dest)},
        "iat": passport.iat,
        "orig": {"tn": passport.orig},
        "origid": passport.origid,
    }
    signed = _encode(canonical_json(header)) + "." + _encode(canonical_json(claims))
    token = f"{signed}.{_encode(sign_raw(signed.encode(), key))}"
    return f"{token};info=<{passport.x5u}>;alg=ES256;ppt=shaken"


def sign_raw(data: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    """ES256 as JWS has it: both numbers of the signature, 32 bytes each (RFC 7518 §3.4)."""
    r, s = decode_dss_signature(key.sign(data, _ES256))
    return r.to_bytes(_COORDINATE, "big") + s.to_bytes(_COORDINATE, "big")


def read_identity_untrusted(value: str) -> SignedPassport | None:
    """One Identity value; None for another kind of PASSporT than "shaken", which is not for us to judge.

    Raises `BadMessage` where it cannot be read, or speaks two ways.
    """
    if len(value) > _LONGEST:
        raise BadMessage("Bad Identity: too long")
    token, *rest = split_semicolons(value)
    params = {name.lower(): text or "" for name, text in parse_params_untrusted(";".join(rest))}
    if params.get("ppt", "shaken").strip('"') != "shaken":
        return None
    parts = token.strip().split(".")
    if len(parts) != 3 or not all(parts):
        raise BadMessage("Bad Identity: not in full form")
    header, claims = _object(parts[0]), _object(parts[1])
    if header.get("ppt") != "shaken":
        if "ppt" not in params:
            return None
        raise BadMessage("Bad Identity: ppt says two things")
    if header.get("alg") != "ES256" or params.get("alg", "ES256").strip('"') != "ES256":
        raise BadMessage("Bad Identity: not ES256")
    x5u = _text(header, "x5u")
    info = params.get("info", "")
    if info != f"<{x5u}>":
        raise BadMessage("Bad Identity: info and x5u differ")
    signature = _decode(parts[2])
    if len(signature) != 2 * _COORDINATE:
        raise BadMessage("Bad Identity: signature")
    orig, dest, iat = claims.get("orig"), claims.get("dest"), claims.get("iat")
    called = dest.get("tn", []) if isinstance(dest, dict) else None
    if not isinstance(orig, dict) or not isinstance(called, list) or not isinstance(iat, int):
        raise BadMessage("Bad Identity: claims")
    if not 0 <= iat <= _LATEST:
        raise BadMessage("Bad Identity: iat")
    if len(called) > _MOST_CALLED or not all(isinstance(one, str) for one in called):
        raise BadMessage("Bad Identity: dest")
    attest = claims.get("attest")
    if attest not in ("A", "B", "C"):
        raise BadMessage("Bad Identity: attest")
    passport = Passport(_text(orig, "tn"), tuple(called), iat, x5u, attest, _text(claims, "origid"))
    return SignedPassport(passport, f"{parts[0]}.{parts[1]}".encode(), signature)


def _object(part: str) -> dict[str, Any]:
    try:
        value = json.loads(_decode(part))
    except (ValueError, RecursionError):
        raise BadMessage("Bad Identity: JSON") from None
    if not isinstance(value, dict):
        raise BadMessage("Bad Identity: JSON")
    return value


def _text(where: dict[str, Any], name: str) -> str:
    value = where.get(name)
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= _LONGEST_TEXT:
        raise BadMessage(f"Bad Identity: {name}")
    return value


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise BadMessage("Bad Identity: base64") from None
