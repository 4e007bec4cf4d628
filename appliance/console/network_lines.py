"""The network cards, a line each, for the form that changes them."""

from __future__ import annotations

from collections.abc import Iterator

from .facts import Facts


def network_lines(facts: Facts) -> Iterator[str]:
    if not facts.cards_told:
        yield "The machine has not said yet which cards it has."
    for card in facts.cards[:8]:
        yield f"{card.name:<10} {card.state:<8} {card.mac:<18} {', '.join(card.addresses) or 'no address'}"
    if facts.confirm_within_s is not None:
        yield f"These are on trial; the old addresses return in {facts.confirm_within_s} s."
