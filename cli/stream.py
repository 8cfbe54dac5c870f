"""The events of one attempt as its file grows: each is given once, whatever is half written or garbled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from consumers.stream import frame

_CHUNK_BYTES = 1 << 20  # so that an attempt of gigabytes is never in memory as a whole


class Stream:
    """Reads stream.jsonl of an attempt's folder; a line counts once its newline is there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.events = 0
        self._position = 0
        self._rest: list[bytes] = []

    def news(self) -> Iterator[dict[str, Any]]:
        """Return the whole events that were written since the last call.

        A line that is no JSON object comes as `{"type": "garbled", "line": …}`.
        """
        for chunk in self._chunks():
            whole, newline, rest = chunk.rpartition(b"\n")
            if not newline:  # a line of megabytes: joined once, when it is whole
                self._rest.append(chunk)
                continue
            events, _ = frame(b"".join((*self._rest, whole, newline)))
            self._rest = [rest]
            self.events += len(events)
            yield from events

    @property
    def cut_off_bytes(self) -> int:
        """How much was read of a line whose end has not been written."""
        return sum(map(len, self._rest))

    def _chunks(self) -> Iterator[bytes]:
        try:
            file = (self.folder / "stream.jsonl").open("rb", buffering=0)
        except FileNotFoundError:
            return
        with file:
            file.seek(self._position)
            while chunk := file.read(_CHUNK_BYTES):
                self._position += len(chunk)
                yield chunk
