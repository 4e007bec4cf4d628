"""IceLite: the answering half of ICE (RFC 8445 §2.5, §7.3, §8.1.2), for one component on one port.

Lite never sends checks; it answers those that carry our credentials, so an address counts as validated once
a check from it had the right MESSAGE-INTEGRITY. Lite is always controlled, so a peer that thinks itself
controlled gets 487; where both are lite nobody checks, and the owner takes the default candidate of the
SDP. Consent (RFC 7675) is the full agent's duty; for us its checks are the sign of life.
"""

from attrs import define, field, frozen

from appliance.rtc import stun
from appliance.rtc.errors import BadMedia
from appliance.rtc.stun import StunMessage, build_stun, parse_stun_untrusted

Address = tuple[str, int]
MAX_PAIRS = 32
STALE_S = 5.0
"""A selected pair not checked for so long gives way to any nominated one."""


@define
class Pair:
    """One address that has sent a valid check. `deliberate` says that it was checked before it was
    nominated."""

    address: Address
    priority: int
    generation: int
    last_check: float
    checks: int = 0
    nominated: bool = False


@frozen
class IceResult:
    """What one message leads to: bytes to send back to its source, whether the source is validated for the
    first time, whether it is now the selected address, and a sentence for the timeline."""

    reply: bytes | None = None
    validated: bool = False
    selected: bool = False
    sentence: str | None = None


@define
class IceLite:
    """`ufrag` and `password` are ours, from a random source of the owner (RFC 8445 §5.3: 24 and 128 bits)."""

    ufrag: str
    password: str = field(repr=False)
    remote_ufrag: str | None = None
    selected: Address | None = None
    last_check: float | None = None
    checks: int = 0
    refused: int = 0
    """Checks with wrong credentials."""
    _pairs: dict[Address, Pair] = field(factory=dict)
    _previous: tuple[str, str] | None = field(default=None, repr=False)
    """Credentials before a restart, good until the new ones nominate (RFC 8445 §9)."""
    _generation: int = 0

    def set_remote(self, ufrag: str | None) -> None:
        """The peer's ufrag from its SDP. Unknown before the answer: then any is accepted, our half is the
        secret."""
        self.remote_ufrag = ufrag

    def restart(self, ufrag: str, password: str) -> None:
        self._previous = (self.ufrag, self.password)
        self.ufrag, self.password = ufrag, password
        self.remote_ufrag = None
        self._generation += 1

    def validated(self, address: Address) -> bool:
        return address in self._pairs

    def heard_within(self, seconds: float, now: float) -> bool:
        return self.last_check is not None and now - self.last_check < seconds

    def receive_untrusted(self, data: bytes, source: Address, now: float) -> IceResult:
        """Raises BadMedia with the cause `malformed`, `stun_bad_integrity` or `stun_unexpected`."""
        message = parse_stun_untrusted(data)
        if not message.verify_fingerprint():
            raise BadMedia("malformed", "STUN fingerprint does not match")
        if message.kind == stun.BINDING_INDICATION:
            return IceResult()
        if message.kind != stun.BINDING_REQUEST:
            raise BadMedia("stun_unexpected", f"STUN message {message.kind:#06x}")
        current = self._authenticate(message)
        unknown = message.unknown_required()
        password = self.password if current or self._previous is None else self._previous[1]
        if unknown:
            value = b"".join(number.to_bytes(2, "big") for number in unknown)
            return IceResult(_refusal(message, password, 420, "Unknown Attribute", (stun.UNKNOWN_ATTRIBUTES, value)))
        if message.get(stun.ICE_CONTROLLED) is not None:
            return IceResult(
                _refusal(message, password, 487, "Role Conflict"),
                sentence="the peer takes itself for the controlled agent: answered 487",
            )
        return self._accept(message, source, now, password, current)

    def _authenticate(self, message: StunMessage) -> bool:
        """True for our present credentials, False for those before a restart; otherwise BadMedia."""
        username = message.get(stun.USERNAME)
        if username is None or message.integrity_at < 0:
            self.refused += 1
            raise BadMedia("stun_bad_integrity", "check without USERNAME or MESSAGE-INTEGRITY")
        ours, _, theirs = username.decode("utf-8", "replace").partition(":")
        if ours == self.ufrag and (self.remote_ufrag is None or theirs == self.remote_ufrag):
            if message.verify_integrity(self.password):
                return True
        elif self._previous is not None:
            ufrag, password = self._previous
            if ours == ufrag and message.verify_integrity(password):
                return False
        self.refused += 1
        raise BadMedia("stun_bad_integrity", "check with wrong credentials")

    def _accept(self, message: StunMessage, source: Address, now: float, password: str, current: bool) -> IceResult:
        reply = build_stun(
            stun.BINDING_SUCCESS,
            message.transaction,
            [(stun.XOR_MAPPED_ADDRESS, stun.xor_mapped_address(source, message.transaction))],
            password=password,
        )
        self.last_check = now
        self.checks += 1
        # RFC 8445 §9: until the new credentials nominate, the session goes on with the old ones. A browser may even
        # pair its new addresses with our old credentials, nominate that and stay there.
        generation = self._generation if current else self._generation - 1
        priority = int.from_bytes(message.get(stun.PRIORITY) or b"\0", "big")
        pair = self._pairs.get(source)
        fresh = pair is None
        if pair is None:
            if len(self._pairs) >= MAX_PAIRS:
                self._forget_oldest()
            pair = self._pairs[source] = Pair(source, priority, generation, now)
        elif pair.generation < generation:
            pair.generation, pair.nominated, pair.checks = generation, False, 0
        pair.last_check = now
        pair.checks += 1
        sentence = f"first valid ICE check from {_show(source)}" if fresh else None
        if message.get(stun.USE_CANDIDATE) is None:
            return IceResult(reply, validated=fresh, sentence=sentence)
        deliberate = pair.checks > 1 and not pair.nominated
        pair.nominated = True
        pair.priority = max(pair.priority, priority)
        if not self._wins(pair, deliberate, now, current):
            return IceResult(reply, validated=fresh, sentence=sentence)
        self.selected = source
        if current and self._previous is not None:
            self._previous = None
            for address in [each.address for each in self._pairs.values() if each.generation != self._generation]:
                del self._pairs[address]
        return IceResult(reply, fresh, True, f"ICE nominated {_show(source)}")

    def _wins(self, pair: Pair, deliberate: bool, now: float, renewed: bool) -> bool:
        """Whether a nominated pair takes over. A pair checked first and nominated later was chosen on
        purpose; one nominated with its first check comes from an agent that nominates all, where priority
        decides (RFC 5245)."""
        if pair.address == self.selected:
            # Again the same address: news only with the credentials of a restart.
            return renewed and self._previous is not None
        current = self._pairs.get(self.selected) if self.selected is not None else None
        if current is None or current.generation < pair.generation or deliberate:
            return True
        return pair.priority > current.priority or now - current.last_check > STALE_S

    def _forget_oldest(self) -> None:
        others = [pair for pair in self._pairs.values() if pair.address != self.selected]
        del self._pairs[min(others, key=lambda pair: pair.last_check).address]


def _refusal(message: StunMessage, password: str, code: int, reason: str, *more: tuple[int, bytes]) -> bytes:
    attributes = [(stun.ERROR_CODE, stun.error_code(code, reason)), *more]
    return build_stun(stun.BINDING_ERROR, message.transaction, attributes, password=password)


def _show(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
