"""Signed caller numbers at the trunks: our signature on calls out, the judgement of others' on calls in.

RFC 8224 §4.1 and §6 with the SHAKEN claims of RFC 8588. All of it is synchronous: a certificate that is not known yet
is fetched outside, and a call waits for it at most as long as [stir] wait says, holding up nobody else.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from email.utils import formatdate
from typing import TYPE_CHECKING

import attrs

from appliance.config.settings import Settings
from appliance.config.stir import Attestation, Signing, Verification
from appliance.config.stir_material import StirMaterial
from appliance.proxy.certificate_store import CertificateStore
from appliance.router.numberplan import NumberPlan
from appliance.router.question import Caller, CallerKind
from appliance.sip.errors import BadMessage, Rejected
from appliance.sip.message import Request
from appliance.sip.passport import Passport, SignedPassport, read_identity_untrusted, sign
from appliance.sip.uri import Uri

if TYPE_CHECKING:
    from appliance.proxy.core import SipCore
    from appliance.sip.server_transaction import ServerTransaction

VERDICT = "x-identity-verdict"
_MOST_SIGNATURES = 5
_FEWEST_DIGITS = 7
_MOST_DIGITS = 15


@attrs.frozen
class Verdict:
    """What a signature is worth. `status` and `reason` refuse the call where a good one is required; 0 for good."""

    status: int
    reason: str
    sentence: str
    attest: str = ""
    origid: str = ""
    orig: str = ""

    @property
    def verstat(self) -> str:
        """In words of 3GPP TS 24.229 §7.2A.20."""
        if not self.status:
            return "TN-Validation-Passed"
        return "No-TN-Validation" if self.status in (428, 436) else "TN-Validation-Failed"


_UNSIGNED = Verdict(428, "Use Identity Header", "the caller's number is not signed")


class Stir:
    """One for the box; `key` is its token secret."""

    def __init__(self, core: SipCore, key: bytes, wall: Callable[[], float]) -> None:
        self.verifying: dict[str, Verification] = {}
        """The trunks whose calls are looked at."""
        self.store = CertificateStore(wall)
        self.results = dict.fromkeys(("signed", "TN-Validation-Passed", "TN-Validation-Failed", "No-TN-Validation"), 0)
        """How many calls we signed, and how many of trunks got which verdict."""
        self.material = StirMaterial()
        self._core = core
        self._wall = wall
        made = hashlib.blake2b(key, digest_size=16, person=b"origid").digest()
        self._own_origid = str(uuid.UUID(bytes=made, version=4))

    def configure(self, settings: Settings, material: StirMaterial) -> None:
        """Take new settings; what is known of certificates stays."""
        self.material = material
        self._stir = stir = settings.stir
        self._users = settings.users
        self._trunks = settings.trunks
        self._signing = {
            one.name: one.sign for one in settings.trunks.values() if one.sign is not Signing.NO and material.key
        }
        self.verifying = {
            one.name: one.verify for one in settings.trunks.values() if one.verify is not Verification.OFF
        }
        plan = settings.numberplans.get(stir.numberplan or "")
        self._plan = None if plan is None else NumberPlan(plan)
        self._origid = self._own_origid if stir.origid == "auto" else stir.origid.lower()
        self.store.configure(stir, material.authorities)

    # Out

    def sign(self, request: Request, caller: Caller | None, trunk: str) -> None:
        """Sign an INVITE that is about to go to a trunk; one that is signed already, or that names no number, stays."""
        signing = self._signing.get(trunk)
        key = self.material.key
        if caller is None or signing is None or key is None or "identity" in request.kinds:
            return
        callers, called = self._callers(request), self._number(request.to.uri)
        if not callers or called is None:
            return
        attest = signing.value if signing is not Signing.AUTO else self._attestation(caller, callers[0])
        now = self._wall()
        if "date" not in request.kinds:
            request.append("date", formatdate(now, usegmt=True))  # RFC 8224 §4.1
        passport = Passport(callers[0], (called,), int(now), self._stir.x5u, attest, self._origid)
        request.append("identity", sign(passport, key))
        self.results["signed"] += 1

    def _attestation(self, caller: Caller, number: str) -> str:
        """RFC 8588 §4."""
        if caller.kind is CallerKind.TRUNK:
            return self._trunks[caller.name].attestation.value
        user = self._users.get(caller.name) if caller.kind is CallerKind.USER else None
        if user is None:
            return Attestation.C.value
        own = {self._canonical(one) for one in (user.name, user.number, *user.numbers)}
        return Attestation.A.value if number in own else Attestation.B.value

    # In

    def holds(self, transaction: ServerTransaction, trunk: str, go_on: Callable[[], None], now: float) -> bool:
        """Judge the signatures of a call from a trunk, and mark it; True where `go_on` is called later instead.

        Raises `Rejected` where the trunk must sign and has not done so well.
        """
        request = transaction.request
        verdict, unknown = self._judge(request)
        wait_s = self._stir.wait_ms / 1000
        if unknown and wait_s:
            told = False

            def tell(*_: object) -> None:
                nonlocal told
                if told or transaction.final_sent:
                    return
                told = True
                self._core.resume(transaction, lambda: self._conclude(request, trunk, self._judge(request)[0], go_on))

            if self.store.wait(unknown, tell):
                self._core.schedule(now + wait_s, tell)
                return True
        self._mark(request, trunk, verdict)
        return False

    def _conclude(self, request: Request, trunk: str, verdict: Verdict, go_on: Callable[[], None]) -> None:
        self._mark(request, trunk, verdict)
        go_on()

    def _judge(self, request: Request) -> tuple[Verdict, str]:
        """The best that can be said of an INVITE now, and the URL whose certificate would tell more, '' for none."""
        values = request.values("identity") if "identity" in request.kinds else []
        verdict, unknown = _UNSIGNED, ""
        for value in values[:_MOST_SIGNATURES]:
            try:
                signed = read_identity_untrusted(value)
            except BadMessage as bad:
                found, url = Verdict(438, "Invalid Identity Header", bad.reason), ""
            else:
                if signed is None:
                    continue
                found, url = self._judge_one(signed, request)
            if not found.status:
                return found, ""
            if verdict is _UNSIGNED:
                verdict, unknown = found, url
        return verdict, unknown

    def _judge_one(self, signed: SignedPassport, request: Request) -> tuple[Verdict, str]:
        passport = signed.passport
        if abs(self._wall() - passport.iat) > self._stir.freshness_s:
            return Verdict(403, "Stale Date", "the signature is too old, or of the future"), ""
        if passport.orig not in self._callers(request):
            return Verdict(438, "Invalid Identity Header", "the signature is for another caller"), ""
        called = self._number(request.to.uri), self._number(request.request_uri)
        if not any(one is not None and one in passport.dest for one in called):
            return Verdict(438, "Invalid Identity Header", "the signature is for another called number"), ""
        known = self.store.look_up(passport.x5u)
        if known is None:
            return Verdict(436, "Bad Identity Info", "the certificate is not known yet"), passport.x5u
        if known.key is None:
            if known.fetched:
                return Verdict(437, "Unsupported Credential", f"the certificate: {known.trouble}"), ""
            return Verdict(436, "Bad Identity Info", f"the certificate cannot be had: {known.trouble}"), ""
        if not known.numbers.covers(passport.orig):
            return Verdict(437, "Unsupported Credential", "the certificate is not for the caller's number"), ""
        if not signed.is_signed_with(known.key):
            return Verdict(438, "Invalid Identity Header", "the signature is not the certificate's"), ""
        sentence = f"the caller's number is signed, attestation {passport.attest}"
        return Verdict(0, "", sentence, passport.attest, passport.origid, passport.orig), ""

    def _mark(self, request: Request, trunk: str, verdict: Verdict) -> None:
        """Write the verdict into the request. Raises `Rejected` where the trunk must sign."""
        self.results[verdict.verstat] += 1
        if verdict.status and self.verifying.get(trunk) is Verification.REQUIRE:
            raise Rejected(verdict.status, verdict.reason, f"trunk {trunk} must sign: {verdict.sentence}")
        text = verdict.verstat
        if not verdict.status:
            text += f';attest={verdict.attest};origid="{verdict.origid.replace(chr(34), "")}"'
        elif verdict is not _UNSIGNED:
            text += f';cause="{verdict.sentence.replace(chr(34), chr(39)).replace(chr(92), "/")}"'
        request.set(VERDICT, "".join(letter if letter.isprintable() else "?" for letter in text))
        if "p-asserted-identity" in request.kinds:
            self._mark_identities(request, verdict)

    def _mark_identities(self, request: Request, verdict: Verdict) -> None:
        try:
            addresses = request.addresses("p-asserted-identity")
        except BadMessage:
            return
        request.remove("p-asserted-identity")
        for address in addresses:
            bare = _without_verstat(address.uri)
            if self._number(bare) is not None and verdict.orig in ("", self._number(bare)):
                bare = _with_verstat(bare, verdict.verstat)
            request.append("p-asserted-identity", str(attrs.evolve(address, uri=bare)))

    # Numbers

    def _callers(self, request: Request) -> list[str]:
        """The numbers that a request says it comes from: as asserted, then From."""
        uris = [request.from_.uri]
        if "p-asserted-identity" in request.kinds:
            try:
                uris[:0] = [address.uri for address in request.addresses("p-asserted-identity")]
            except BadMessage:
                pass
        return [number for number in map(self._number, uris) if number is not None]

    def _number(self, uri: Uri) -> str | None:
        """The number of a URI, digits only, None where it is none (RFC 8224 §8.3)."""
        if uri.scheme not in ("sip", "sips", "tel") or uri.user is None:
            return None
        return self._canonical(uri.username.partition(";")[0])

    def _canonical(self, text: str) -> str | None:
        if self._plan is not None:
            read = self._plan.to_e164(text)
            return None if read is None else read[1:]
        digits = text.removeprefix("+")
        for separator in "-.() ":
            digits = digits.replace(separator, "")
        good = digits.isascii() and digits.isdigit() and _FEWEST_DIGITS <= len(digits) <= _MOST_DIGITS
        return digits if good else None


def _without_verstat(uri: Uri) -> Uri:
    """What others say of a number is nothing to go by."""
    if uri.scheme == "tel":
        return uri.without_params("verstat")
    parts = (uri.user or "").split(";")
    user = ";".join(part for part in parts if not part.lower().startswith("verstat"))
    return attrs.evolve(uri, user=user or uri.user)


def _with_verstat(uri: Uri, verstat: str) -> Uri:
    if uri.scheme == "tel":
        return uri.with_params(("verstat", verstat))
    return attrs.evolve(uri, user=f"{uri.user};verstat={verstat}")
