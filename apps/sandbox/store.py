"""State of a simulator: tables in memory, each commit one line appended to a journal file."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Doc = dict[str, Any]


class Store:
    """Documents by table and id. A commit has left the process once it returns, so `kill -9` loses nothing."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._tables: dict[str, dict[str, Doc]] = {}
        self._batch: list[list[Any]] | None = None
        self._load(path)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def table(self, name: str) -> Mapping[str, Doc]:
        return self._tables.setdefault(name, {})

    def get(self, name: str, key: str) -> Doc | None:
        return self.table(name).get(key)

    def put(self, name: str, key: str, doc: Doc | None) -> None:
        """Write a document (None deletes it): at once, or with the rest of the open transaction."""
        self._apply(name, key, doc)
        if self._batch is None:
            self._write([[name, key, doc]])
        else:
            self._batch.append([name, key, doc])

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All puts inside become one line of the journal: after a kill either all of them are there or none."""
        if self._batch is not None:
            yield
            return
        self._batch = []
        try:
            yield
        finally:
            batch, self._batch = self._batch, None
            if batch:
                self._write(batch)

    def _apply(self, name: str, key: str, doc: Doc | None) -> None:
        table = self._tables.setdefault(name, {})
        if doc is None:
            table.pop(key, None)
        else:
            table[key] = doc

    def _write(self, batch: list[list[Any]]) -> None:
        line = memoryview(json.dumps(batch, ensure_ascii=False).encode() + b"\n")
        while line:
            line = line[os.write(self._file, line) :]

    def _load(self, path: Path) -> None:
        if not path.exists():
            return
        whole = 0
        with path.open("rb+") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                for name, key, doc in json.loads(line):
                    self._apply(name, key, doc)
                whole += len(line)
            # A line cut short by a kill was never acknowledged; the next one must not be glued to it.
            file.truncate(whole)
