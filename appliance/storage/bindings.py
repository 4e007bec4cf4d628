"""What the registrar keeps over a restart: one `BindingRow` for each contact that a phone has registered.

The truth is the registrar's memory; a `BindingStore` only follows it. Nothing here awaits: changes are handed over,
and `done` is called in the trio thread once the group that they belong to is committed, or cannot be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

Done = Callable[[Exception | None], None]


class BindingRow(NamedTuple):
    """One binding as it is stored; the fields are the columns. `(aor, key)` names it.

    Times are seconds of the wall clock since 1970. `path` holds one Path value a line, `features` the Contact's
    further parameters as they go on the wire.
    """

    aor: str
    key: str
    contact: str
    q: float
    expires_at: float
    path: str
    instance: str | None
    reg_id: int | None
    gruu: str
    flow_id: str
    listener: str
    transport: str
    received_host: str
    received_port: int
    call_id: str
    cseq: int
    user_agent: str
    features: str
    registered_at: float
    refreshed_at: float
    behind_nat: bool = False


class BindingChange(NamedTuple):
    """The row to be stored under (aor, key), or None to take it away."""

    aor: str
    key: str
    row: BindingRow | None


class BindingSource(Protocol):
    """Who has all bindings in memory: asked when the whole file must be written anew."""

    def rows(self) -> Iterable[BindingRow]:
        """All bindings as they are now; changes made while this is read do no harm."""

    def restore(self, rows: Sequence[BindingRow]) -> None:
        """Take over what the file held; a binding that is known already is newer than its row."""


class BindingStore(Protocol):
    """Where bindings are kept: a file, or nothing at all."""

    def attach(self, source: BindingSource) -> None:
        """Name the source, once; `restore` is called with the stored rows as soon as they have been read."""

    def write(self, changes: Sequence[BindingChange], done: Done) -> None:
        """Store the changes together with others that come soon.

        `done(None)` after the commit; `done(error)`, at once perhaps, where storage fails: then the changes need
        not be handed over again, since they come along with `BindingSource.rows` when storage works once more.
        """


class MemoryBindings:
    """A store that keeps nothing: for a box without a disk, and for tests of other rooms."""

    def attach(self, source: BindingSource) -> None:
        source.restore(())

    def write(self, changes: Sequence[BindingChange], done: Done) -> None:
        done(None)
