"""Rewriting on the way through: what comes in is changed before it is routed, what goes out for each attempt anew.

From the outside to the inside stand a trunk's rules, its number plan, and the identities at the edge of trust; outwards
the other way round. Everything is compiled when settings are taken; who has none of it costs a look-up.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

import attrs

from appliance.config.rewriting import NumberField, NumberFormat, NumbersOut
from appliance.config.settings import Settings
from appliance.proxy.dialog_changes import UNCHANGED, Ends, between, read_extras
from appliance.router.fields import Unfit, checked_value, put_line
from appliance.router.numberplan import NumberPlan
from appliance.router.privacy import Identities, assert_identity, leave_trust
from appliance.router.question import Caller, CallerKind
from appliance.router.rewrite import Rules, Steps, apply, rules_of
from appliance.sip.errors import BadMessage, Rejected
from appliance.sip.header_lines import header_line
from appliance.sip.headers import parse_name_addr_untrusted, split_commas, value_of
from appliance.sip.message import Message, Request, Response
from appliance.sip.uri import parse_uri_untrusted

if TYPE_CHECKING:
    from appliance.proxy.branch import Attempt
    from appliance.proxy.destination import Destination
    from appliance.proxy.response_context import ResponseContext

_USER, _TRUNK = CallerKind.USER, CallerKind.TRUNK
"""By themselves, since looking a member up costs as much as a dozen comparisons."""


@attrs.frozen
class Way:
    """One direction of a trunk, a listener or a user, compiled. `trusted` is None where nobody is known there."""

    rules: Rules | None = None
    plan: NumberPlan | None = None
    form: NumberFormat = NumberFormat.E164
    trusted: bool | None = None
    active: bool = attrs.field(init=False)
    """Whether there is a rule or a plan."""

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "active", self.rules is not None or self.plan is not None)


class Rewriting:
    """Made of the settings of one moment. `domain` stands in the identities of users without a number."""

    def __init__(self, settings: Settings, domain: str) -> None:
        plans = {name: NumberPlan(one) for name, one in settings.numberplans.items()}
        sets = settings.rules

        def inward(rules: tuple[str, ...], plan: str | None) -> Way:
            return Way(rules_of(rules, sets), plans.get(plan or ""))

        def outward(rules: tuple[str, ...], numbers: NumbersOut | None, trusted: bool | None) -> Way:
            plan = plans.get(numbers.plan) if numbers is not None else None
            return Way(rules_of(rules, sets), plan, numbers.form if numbers else NumberFormat.E164, trusted)

        trunks, listeners, users = settings.trunks.values(), settings.listeners.values(), settings.users.values()
        self.trusted = frozenset(trunk.name for trunk in trunks if trunk.trusted_identity)
        self._from_trunk = _some((trunk.name, inward(trunk.rules_in, trunk.numbers_in)) for trunk in trunks)
        self._from_listener = _some((one.name, inward(one.rules_in, one.numbers_in)) for one in listeners)
        self._from_user = _some((user.name, inward((), user.numbers_in)) for user in users)
        self._to_trunk = {
            trunk.name: outward(trunk.rules_out, trunk.numbers_out, trunk.trusted_identity) for trunk in trunks
        }
        self._to_user = _some((user.name, outward((), user.numbers_out, None)) for user in users)
        self._identities = {
            user.name: Identities(
                tuple(f"sip:{one}@{domain}" for one in dict.fromkeys((user.number or user.name, *user.numbers))),
                user.display_name,
            )
            for user in users
        }

        distrusted = len(self.trusted) < len(settings.trunks)
        self._takes_all = not (distrusted or self._from_trunk or self._from_listener or self._from_user)
        ways = (*self._from_trunk.values(), *self._from_listener.values(), *self._to_trunk.values())
        self._rules_within = any(way.rules is not None and (way.rules.in_dialog or way.rules.responses) for way in ways)
        self.within = distrusted or self._rules_within
        """Whether anything is to be done to requests inside dialogs or to responses."""

    def arrived(self, request: Request, listener: str, caller: Caller, steps: Steps | None = None) -> Request:
        """An initial request as it is routed: the very same, or a copy that is rewritten.

        `listener` is the one that it came in by. What was done is told in `steps`, where given.
        """
        if self._takes_all:
            return request
        if caller.kind is _TRUNK:
            way = self._from_trunk.get(caller.name)
            if caller.name not in self.trusted and "p-asserted-identity" in request.kinds:
                request = request.copy()
                request.remove("p-asserted-identity")
                if steps is not None:
                    steps.append(f"trunk {caller.name} is not trusted: p-asserted-identity is removed")
        else:
            way = self._from_listener.get(listener)
            own = self._from_user.get(caller.name)
            if own is not None:
                way = attrs.evolve(way, plan=own.plan) if way is not None else own
        if way is None:
            return request
        request = request.copy()
        if way.rules is not None:
            apply(way.rules.initial, request, request.method, steps)
        if way.plan is not None:
            renumber(request, way.plan, NumberFormat.E164, steps)
        return request

    def leaving(
        self, request: Request, trunk: str, user: str, caller: Caller | None, steps: Steps | None = None
    ) -> bool:
        """Change an initial request that goes out to a trunk, or to a phone of `user`; True where anything may differ.

        Raises `Rejected` 500 where the caller insists on privacy that cannot be had.
        """
        changed = False
        way = self._to_trunk.get(trunk) if trunk else self._to_user.get(user)
        if way is not None and way.trusted:
            known = caller is not None and caller.kind is _USER
            identities = self._identities.get(caller.name) if caller is not None and known else None
            if identities is not None:
                changed = True
                said = assert_identity(request, identities)
                if said and steps is not None:
                    steps.append(f"trunk {trunk} is trusted: p-asserted-identity is {said}")
        elif trunk or "privacy" in request.kinds or "p-preferred-identity" in request.kinds:
            done = leave_trust(request, keep_identity=not trunk)
            changed = bool(done)
            if steps is not None:
                steps += [f"{f'trunk {trunk}' if trunk else f'user {user}'} is not trusted: {one}" for one in done]
        if way is not None and way.active:
            changed = True
            if way.plan is not None:
                renumber(request, way.plan, way.form, steps)
            if way.rules is not None:
                apply(way.rules.initial, request, request.method, steps)
        return changed

    def leave(self, context: ResponseContext, attempt: Attempt, request: Request) -> None:
        """`leaving` for one attempt, and what it means for the dialog that may come of it."""
        destination = attempt.branch.destination
        changed = self.leaving(request, destination.trunk, destination.user, context.caller)
        branch = attempt.branch
        if self.within:
            source = context.caller.name if context.caller and context.caller.kind is _TRUNK else ""
            trunks = (source, destination.trunk)
            if any(trunks):
                known = branch.changes is UNCHANGED
                branch.changes = between(trunks) if known else attrs.evolve(branch.changes, trunks=trunks)
        if not changed and context.outgoing is context.request:
            return
        call = context.call
        if call is not None and context.invites:
            call.rewriting = partial(
                self._explained, context.request, context.transaction.flow.listener, context.caller, destination
            )
        ends = Ends.between(context.request, request)
        if ends is not None:
            attempt.changed = True
        if ends != branch.changes.ends:
            branch.changes = attrs.evolve(branch.changes, ends=ends)

    def _explained(self, came: Request, listener: str, caller: Caller | None, to: Destination) -> list[str]:
        """The steps of a request that came in by `listener` and went out to `to`, taken once more."""
        steps: Steps = []
        request = came if caller is None else self.arrived(came, listener, caller, steps)
        request = request.copy()
        request.uri = to.uri
        try:
            self.leaving(request, to.trunk, to.user, caller, steps)
        except Rejected as rejected:
            steps.append(rejected.cause)
        return steps

    # Where `within` says that there is something to do

    def follow(self, context: ResponseContext, listener: str) -> None:
        """A request inside a dialog, on its way in by `listener` and out by `context.to_leg`."""
        request = context.request.copy() if self._concerns(context.request) else context.request
        context.sides = self.inside(request, listener, context.extras, context.to_leg)
        context.outgoing = request

    def _concerns(self, message: Message) -> bool:
        """Whether anything could be done to a message inside a dialog."""
        return self._rules_within or "p-asserted-identity" in message.kinds

    def inside(self, request: Request, listener: str, extras: str, to_leg: str) -> tuple[str, str]:
        """Change it in place; the trunks that it comes from and goes to, '' for none."""
        trunks = read_extras(extras).trunks if extras else None
        caller, callee = trunks or ("", "")
        source, target = (callee, caller) if to_leg == "a" else (caller, callee)
        if not self._concerns(request):
            return source, target
        self._distrust(request, source, target)
        came = self._from_trunk.get(source) if source else self._from_listener.get(listener)
        goes = self._to_trunk.get(target)
        for way in (came, goes):
            if way is not None and way.rules is not None:
                apply(way.rules.in_dialog, request, request.method)
        return source, target

    def answered(self, attempt: Attempt, response: Response) -> None:
        """Any response, before anybody looks at it."""
        if not self._concerns(response):
            return
        context = attempt.branch.context
        if context.spread:
            caller = context.caller
            asked = caller.name if caller is not None and caller.kind is _TRUNK else ""
            answering = attempt.branch.destination.trunk
        else:
            asked, answering = context.sides
        self._distrust(response, answering, asked)
        came = self._from_trunk.get(answering) if answering else self._from_listener.get(attempt.flow.listener)
        goes = self._to_trunk.get(asked)
        method = context.request.method
        for way in (came, goes):
            if way is not None and way.rules is not None:
                apply(way.rules.responses, response, method)

    def _distrust(self, message: Message, source: str, target: str) -> None:
        """No identity crosses the edge of trust (RFC 3325 §5); from phones none has come this far."""
        if "p-asserted-identity" in message.kinds and any(one and one not in self.trusted for one in (source, target)):
            message.remove("p-asserted-identity")


def _some(ways: Iterable[tuple[str, Way]]) -> dict[str, Way]:
    return {name: way for name, way in ways if way.active}


def renumber(request: Request, plan: NumberPlan, form: NumberFormat, steps: Steps | None = None) -> None:
    """Write the numbers of a request as the plan has them."""
    for field in plan.fields:
        if field is NumberField.URI:
            before = parse_uri_untrusted(request.uri)
            after = plan.rewritten(before, form)
            if after is not before:
                request.uri = str(after)
                if steps is not None:
                    steps.append(f"numberplan {plan.name}: uri {before.user} became {after.user}")
        elif field.value in request.kinds:
            _renumber_header(request, field.value, plan, form, steps)


def _renumber_header(request: Request, key: str, plan: NumberPlan, form: NumberFormat, steps: Steps | None) -> None:
    for index, found in enumerate(request.keys):
        if found != key:
            continue
        try:
            before = [parse_name_addr_untrusted(one) for one in split_commas(value_of(request.lines[index]))]
            after = [attrs.evolve(one, uri=plan.rewritten(one.uri, form)) for one in before]
            if after == before:
                continue
            put_line(request, index, header_line(key, checked_value(key, ", ".join(map(str, after)))))
        except (BadMessage, Unfit):
            continue
        else:
            if steps is not None:
                steps += [
                    f"numberplan {plan.name}: {key} {old.uri.user} became {new.uri.user}"
                    for old, new in zip(before, after, strict=True)
                    if new != old
                ]
