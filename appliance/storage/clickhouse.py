"""Talking to a ClickHouse server over HTTP, from threads: statements, rows, and a small table sent along.

Values are written into the SQL as literals, for servers older than 2019 know no parameters over HTTP; Debian 12 has one
of 2018.
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

import attrs
import httpx

from appliance.config.records import RecordsSettings
from appliance.storage.call_data import Cell, StoreFault

_CONNECT_S: Final = 3.0
_ANSWER_S: Final = 60.0
_IDLE_S: Final = 2.0
"""Less than the 3 s after which the server closes an idle connection."""
_LONGEST_FAULT: Final = 300
_SAYS: Final = {
    "output_format_json_quote_64bit_integers": "0",
    "wait_end_of_query": "1",  # else an error may come after "200 OK"
}


@attrs.frozen
class Fresh:
    """Rows sent along with a statement, as a table of this name: `structure` as in CREATE TABLE, tab-separated."""

    name: str
    structure: str
    rows: bytes


class ClickHouse:
    """One server and one database of it. Methods raise `StoreFault`."""

    def __init__(self, settings: RecordsSettings) -> None:
        assert settings.url is not None
        self.database = settings.database
        self._settings = settings
        self._where = httpx.URL(settings.url).netloc.decode()
        self._client: httpx.Client | None = None

    def __str__(self) -> str:
        return f"ClickHouse at {self._where}"

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def rows(self, sql: str, values: Sequence[Cell] = (), *, home: bool = True) -> list[tuple[Cell, ...]]:
        """What a SELECT finds; `home`: in our database, which must be there."""
        response = self._post(f"{filled(sql, values)} FORMAT JSONCompact", self._parameters("", home))
        try:
            return [tuple(row) for row in json.loads(response.content)["data"]]
        except (ValueError, KeyError, TypeError) as error:
            raise StoreFault(f"{self} answers with what is no JSON of its own") from error

    def run(self, sql: str, *, query_id: str = "", fresh: Fresh | None = None, home: bool = True) -> None:
        """A statement that answers nothing. A second one of the same `query_id` is refused while one runs."""
        parameters = self._parameters(query_id, home)
        if fresh is None:
            self._post(sql, parameters)
            return
        parameters |= {
            "query": sql,
            f"{fresh.name}_structure": fresh.structure,
            f"{fresh.name}_format": "TabSeparated",
        }
        self._answer(parameters, files={fresh.name: (fresh.name, fresh.rows)})

    def download(self, sql: str, values: Sequence[Cell], file: Path) -> None:
        """The rows of a SELECT as CSV, NULL as \\N."""
        parameters = self._parameters("", home=True)
        try:
            with (
                file.open("wb") as out,
                self._open().stream(
                    "POST", self._settings.url or "", params=parameters, content=f"{filled(sql, values)} FORMAT CSV"
                ) as response,
            ):
                if response.status_code != 200:
                    response.read()
                    self._refused(response)
                for chunk in response.iter_bytes():
                    out.write(chunk)
        except (httpx.HTTPError, OSError) as error:
            raise self._unreached(error) from error

    def _parameters(self, query_id: str, home: bool) -> dict[str, str]:
        found = dict(_SAYS)
        if home:
            found["database"] = self.database
        if query_id:
            found["query_id"] = query_id
        return found

    def _post(self, sql: str, parameters: dict[str, str]) -> httpx.Response:
        return self._answer(parameters, content=sql.encode("utf-8", "replace"))

    def _answer(
        self,
        parameters: dict[str, str],
        content: bytes | None = None,
        files: dict[str, tuple[str, bytes]] | None = None,
    ) -> httpx.Response:
        try:
            response = self._open().post(self._settings.url or "", params=parameters, content=content, files=files)
        except (httpx.HTTPError, OSError) as error:
            raise self._unreached(error) from error
        if response.status_code != 200:
            self._refused(response)
        return response

    def _open(self) -> httpx.Client:
        if self._client is None:
            settings = self._settings
            headers = {}
            if settings.username is not None:
                headers["X-ClickHouse-User"] = settings.username
            if settings.password is not None:
                headers["X-ClickHouse-Key"] = settings.password.reveal()
            self._client = httpx.Client(
                headers=headers,
                verify=ssl.create_default_context(cafile=None if settings.ca is None else str(settings.ca)),
                timeout=httpx.Timeout(_ANSWER_S, connect=_CONNECT_S),
                limits=httpx.Limits(keepalive_expiry=_IDLE_S),
                follow_redirects=False,
                trust_env=False,
            )
        return self._client

    def _unreached(self, error: Exception) -> StoreFault:
        return StoreFault(f"{self} is not reached: {str(error) or type(error).__name__}")

    def _refused(self, response: httpx.Response) -> NoReturn:
        said = " ".join(response.text.split())[:_LONGEST_FAULT] or response.reason_phrase
        raise StoreFault(f"{self} answers {response.status_code}: {said}")


def literal(value: Cell) -> str:
    """A value as it stands in SQL; it holds no question mark."""
    if value is None:
        return "NULL"
    if isinstance(value, str):
        told = value.replace("\\", "\\\\").replace("'", "\\'").replace("?", "\\x3f").replace("\0", "\\0")
        return f"'{told}'"
    return repr(value)


def filled(sql: str, values: Sequence[Cell]) -> str:
    """The SQL with a value in place of each ?."""
    parts = sql.split("?")
    if len(parts) != len(values) + 1:
        raise ValueError(f"{len(values)} values for {len(parts) - 1} places")
    return "".join(part for pair in zip(parts, (*map(literal, values), ""), strict=True) for part in pair)


def tab_separated(rows: Sequence[Sequence[object]]) -> bytes:
    """For `Fresh.rows`; None is NULL."""
    return "".join("\t".join(map(_cell, row)) + "\n" for row in rows).encode("utf-8", "replace")


_ESCAPED: Final = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0"}
_TO_ESCAPE: Final = re.compile(r"[\\\t\n\r\0]")


def _cell(value: object) -> str:
    if value is None:
        return "\\N"
    return _TO_ESCAPE.sub(lambda found: _ESCAPED[found[0]], str(value))
