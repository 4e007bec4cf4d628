"""Hunting: which gateways a call to a trunk or a group is offered to, in which order, and why.

Compiled from the settings at each reload; what lives on (gateways, turns) is kept by name in `Hunts`. A trunk that only
has an order, and nothing that could change it, is `plain`: nobody has to hunt there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property

import attrs

from appliance.config.dialplan import TrunkSettings
from appliance.config.groups import Algorithm, ChoiceSettings, GroupSettings, WhenDown
from appliance.config.settings import Settings
from appliance.router.gateway import Gateways, Hold, LivingGateway, Standing
from appliance.router.selection import Candidate, Turn, arrange, candidates

Key = Callable[[str], bytes]
"""What is to be hashed of a request, by what `hash-on` says."""


@attrs.frozen
class Moment:
    """Of a call: monotonic and wall-clock seconds, and the number as gateways are given it."""

    now: float
    wall: float
    number: str = ""


@attrs.frozen(eq=False)
class Place:
    """One gateway of a trunk: `position` as in the trunk's settings."""

    trunk: str
    position: int
    living: LivingGateway


@attrs.define
class Found:
    """Places by how good they are: in service and well, in service with poor figures (and why), only to be tried after
    those, out of service; and who is held by hand."""

    first: list[Place] = attrs.field(factory=list)
    poor: list[tuple[Place, str]] = attrs.field(factory=list)
    spare: list[Place] = attrs.field(factory=list)
    out: list[Place] = attrs.field(factory=list)
    held: list[Place] = attrs.field(factory=list)

    def add(self, more: Found) -> None:
        self.first += more.first
        self.poor += more.poor
        self.spare += more.spare
        self.out += more.out
        self.held += more.held


@attrs.define(eq=False)
class Selection:
    """What a hunt came to: `places` in order; `skipped` are those who are not tried, each with the reason."""

    title: str
    algorithm: Algorithm
    places: list[Place]
    skipped: tuple[tuple[str, str], ...] = ()
    late: tuple[tuple[str, str], ...] = ()
    """Those who stand behind the others for a reason."""
    give_up_at: float | None = None

    @property
    def explanation(self) -> str:
        """In one line, for the call's page and the log."""
        order = ", then ".join(f"{place.trunk} {place.living.name}" for place in self.places) or "nobody"
        asides = [f"{name} not at all, {why}" for name, why in self.skipped]
        asides += [f"{name} last, {why}" for name, why in self.late]
        return f"{self.title} by {self.algorithm}: {order}" + "".join(f"; {aside}" for aside in asides)


class TrunkHunt:
    """The choice among the gateways of one trunk.

    It has two turns: one for calls that begin here, another for those that only might come here later. Were it one,
    the turns of a group and of its trunks would run in step, and some gateways get more than others.
    """

    def __init__(self, settings: TrunkSettings, gateways: Gateways, turn: Turn) -> None:
        self.settings = settings
        self.title = f"trunk {settings.name}"
        self.turn = turn
        self._standby = Turn()
        names = [str(gateway) for gateway in settings.gateways]
        turn.keep(names)
        self.places = [Place(settings.name, at, gateways.of(settings.name, name)) for at, name in enumerate(names)]
        self._candidates = candidates(
            settings.algorithm, [(str(gateway), gateway.terms) for gateway in settings.gateways]
        )
        self.plain = False
        """Whether the order never changes."""
        self.refresh()

    def refresh(self) -> None:
        """See anew whether the order can change: somebody may have been taken out by hand."""
        settings = self.settings
        self.plain = (
            (settings.algorithm is Algorithm.PRIORITY or len(self.places) < 2)
            and settings.health is None
            and settings.quality is None
            and not settings.tries
            and settings.total_time_s is None
            and all(place.living.hold is Hold.NONE for place in self.places)
        )

    @cached_property
    def order(self) -> list[int]:
        """Positions by priority alone."""
        return [one.position for one in self._candidates]

    def usable(self, moment: Moment, *, measured: bool = True) -> tuple[list[Candidate], Found]:
        """Those in service with their figures of this moment, and all others by standing.

        `measured`: who is put back for its quality stands apart, save for a probe.
        """
        found = Found()
        usable: list[Candidate] = []
        now = moment.now
        for one in self._candidates:
            place = self.places[one.position]
            living = place.living
            match living.standing(now):
                case Standing.IN:
                    one.calls = len(living.carried)
                    one.latency_s = living.latency_s(now)
                    quality = living.quality if measured else None
                    poor = "" if quality is None else quality.put_back(moment.number, moment.wall)
                    if poor:
                        found.poor.append((place, poor))
                    else:
                        usable.append(one)
                case Standing.SPARE:
                    found.spare.append(place)
                case Standing.OUT:
                    found.out.append(place)
                case Standing.HELD:
                    found.held.append(place)
        return usable, found

    def arranged(self, usable: list[Candidate], found: Found, key: Key, *, first: bool) -> Found:
        """All in the order in which to try them; `first`: this call begins here."""
        settings = self.settings
        turn = self.turn if first else self._standby
        order = arrange(settings.algorithm, usable, turn, lambda: key(settings.hash_on))
        found.first = [self.places[one.position] for one in order]
        if len(found.poor) > 1:
            why = {place.position: why for place, why in found.poor}
            poor = [one for one in self._candidates if one.position in why]
            turn = self._standby if usable else turn
            order = arrange(settings.algorithm, poor, turn, lambda: key(settings.hash_on))
            found.poor = [(self.places[one.position], why[one.position]) for one in order]
        if settings.tries:
            self._limit(found, settings.tries)
        return found

    def _limit(self, found: Found, tries: int) -> None:
        for some in (found.first, found.poor, found.spare, found.out):
            del some[tries:]
            tries -= len(some)

    def steady(self, now: float, key: Key) -> Place | None:
        """The gateway that this key leads to as long as the same are in service, whatever the algorithm."""
        usable, found = self.usable(Moment(now, 0.0), measured=False)
        if usable:
            return self.places[_steadily(self.settings, usable, self.turn, key)[0].position]
        others = found.spare + (found.out if self.settings.when_down is WhenDown.LAST else [])
        return others[0] if others else None

    def hunt(self, moment: Moment, key: Key) -> Selection:
        found = self.arranged(*self.usable(moment), key, first=True)
        return _select(self.title, self.settings, found, moment.now)


class GroupHunt:
    """The choice among the trunks of a group, and in each among its gateways."""

    def __init__(self, settings: GroupSettings, trunks: Mapping[str, TrunkHunt], turn: Turn) -> None:
        self.settings = settings
        self.title = f"group {settings.name}"
        self.turn = turn
        self._standby = Turn()
        members = [member for member in settings.members if member.trunk in trunks]
        turn.keep(member.trunk for member in members)
        self.trunks = [trunks[member.trunk] for member in members]
        self._candidates = candidates(settings.algorithm, [(member.trunk, member.terms) for member in members])
        for one in self._candidates:
            if one.capacity is None:
                capacities = [gateway.terms.capacity for gateway in self.trunks[one.position].settings.gateways]
                if capacities and None not in capacities:
                    one.capacity = sum(filter(None, capacities))

    def steady(self, now: float, key: Key) -> Place | None:
        """As that of a trunk."""
        moment = Moment(now, 0.0)
        usable = [one for one in self._candidates if self.trunks[one.position].usable(moment, measured=False)[0]]
        for one in _steadily(self.settings, usable or self._candidates, self.turn, key):
            place = self.trunks[one.position].steady(now, key)
            if place is not None:
                return place
        return None

    def hunt(self, moment: Moment, key: Key) -> Selection:
        settings = self.settings
        seen: dict[int, tuple[list[Candidate], Found]] = {}
        usable: list[Candidate] = []
        poor: list[Candidate] = []
        others: list[Candidate] = []
        for one in self._candidates:
            trunk = self.trunks[one.position]
            gateways, found = seen[one.position] = trunk.usable(moment)
            one.calls = sum(len(place.living.carried) for place in trunk.places)
            known = [gateway.latency_s for gateway in gateways if gateway.latency_s is not None]
            one.latency_s = min(known, default=None)
            (usable if gateways else poor if found.poor else others).append(one)
        order = arrange(settings.algorithm, usable, self.turn, lambda: key(settings.hash_on))
        if poor:
            turn = self._standby if usable else self.turn
            order += arrange(settings.algorithm, poor, turn, lambda: key(settings.hash_on))
        whole = Found()
        for one in (*order, *others):
            trunk = self.trunks[one.position]
            whole.add(trunk.arranged(*seen[one.position], key, first=one is order[0] if order else False))
        return _select(self.title, settings, whole, moment.now)


def _steadily(settings: ChoiceSettings, among: list[Candidate], turn: Turn, key: Key) -> list[Candidate]:
    algorithm = Algorithm.PRIORITY if settings.algorithm is Algorithm.PRIORITY else Algorithm.HASH
    return arrange(algorithm, among, turn, lambda: key(settings.hash_on))


def _select(title: str, settings: ChoiceSettings, found: Found, now: float) -> Selection:
    places = [*found.first, *(place for place, _ in found.poor), *found.spare]
    skipped = found.held
    late = tuple((_name(place), f"put back for its quality, {why}") for place, why in found.poor)
    if settings.when_down is WhenDown.LAST:
        places += found.out
        late += _reasons(found.out, now)
    else:
        skipped = skipped + found.out
    if settings.tries:
        del places[settings.tries :]
    give_up_at = None if settings.total_time_s is None else now + settings.total_time_s
    return Selection(title, settings.algorithm, places, _reasons(skipped, now), late, give_up_at)


def _reasons(places: Iterable[Place], now: float) -> tuple[tuple[str, str], ...]:
    return tuple((_name(place), place.living.why(now)) for place in places)


def _name(place: Place) -> str:
    return f"{place.trunk} {place.living.name}"


class Hunts:
    """All trunks and groups. `configure` takes new settings; gateways and turns go on by their names."""

    def __init__(self) -> None:
        self.gateways = Gateways()
        self.trunks: dict[str, TrunkHunt] = {}
        self.groups: dict[str, GroupHunt] = {}

    def configure(self, settings: Settings, now: float, wall: float) -> None:
        gateways = self.gateways
        old_trunks, old_groups = self.trunks, self.groups
        self.trunks = {
            name: TrunkHunt(trunk, gateways, old_trunks[name].turn if name in old_trunks else Turn())
            for name, trunk in settings.trunks.items()
        }
        self.groups = {
            name: GroupHunt(group, self.trunks, old_groups[name].turn if name in old_groups else Turn())
            for name, group in settings.groups.items()
        }
        for hunt in self.trunks.values():
            measured = settings.qualities[hunt.settings.quality] if hunt.settings.quality is not None else None
            watched = settings.health[hunt.settings.health] if hunt.settings.health is not None else None
            for place in hunt.places:
                gateways.watch(place.living, watched, now)
                gateways.measure(place.living, measured, wall)
        gateways.keep({(place.trunk, place.living.name) for hunt in self.trunks.values() for place in hunt.places})

    def restore(self, holds: Mapping[tuple[str, str], Hold]) -> None:
        """Hold those who were held before a restart, also where they are not configured just now."""
        for (trunk, name), hold in holds.items():
            self.gateways.of(trunk, name).hold = hold
        for hunt in self.trunks.values():
            hunt.refresh()

    def hold(self, trunk: str, name: str, hold: Hold) -> None:
        """Take a gateway out, or let it in again. Raises KeyError where there is none of that name."""
        hunt = self.trunks[trunk]
        {place.living.name: place for place in hunt.places}[name].living.hold = hold
        hunt.refresh()
