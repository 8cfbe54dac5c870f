"""Stands in front of a Redis on a unix socket; cuts connections and loses replies when told to.

Its clients come by a unix socket, or by TCP as they would to a Redis elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

_CHUNK = 65_536
#: Requests that change something, ours and plain Huey's: a lost reply to a question harms nobody.
_DEEDS = (b"FCALL", b"LPUSH", b"ZADD", b"BRPOP")
#: Bytes into a request by which its name is over; further on it may be the text of a script.
_NAME_ENDS = 24


class Pair:
    """One client's connection and ours to the server on its behalf."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client, self.server = client, server
        self.deed = False  # whether the latest request changed something

    def close(self) -> None:
        """Both ends at once."""
        for end in (self.client, self.server):
            with contextlib.suppress(OSError, RuntimeError):
                end.close()


class Proxy:
    """Runs in a thread of its own. All methods may be called from any other."""

    def __init__(self, listen: Path | None, server: Path) -> None:
        """`listen` is the path of a unix socket; None is a TCP port of the system's choice."""
        self.listen, self.server = listen, server
        self._port = 0
        self.dropped = 0
        self._to_drop, self._only_deeds = 0, True
        self._pairs: set[Pair] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._listener: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """What a client connects to, once this has started."""
        return f"unix://{self.listen}" if self.listen else f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Listen. Raises OSError."""
        self._thread.start()
        if self.listen:
            self._listener = self._call(asyncio.start_unix_server(self._accept, self.listen))
        else:
            listener = self._call(asyncio.start_server(self._accept, "127.0.0.1", 0))
            self._listener, self._port = listener, listener.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Cut everything and listen no longer."""
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def cut(self) -> int:
        """Close all connections in mid sentence; how many there were."""
        return int(self._call(self._cut()))

    def drop_replies(self, count: int, *, only_deeds: bool = True) -> None:
        """Lose the next `count` replies: the server has done it, the connection ends, nobody knows."""
        self._to_drop, self._only_deeds = count, only_deeds

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _cut(self) -> int:
        pairs = list(self._pairs)
        for pair in pairs:
            pair.close()
        return len(pairs)

    async def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
        await self._cut()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        if tasks:
            await asyncio.wait(tasks, timeout=5)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answers, requests = await asyncio.open_unix_connection(self.server)
        except OSError:  # the server is away, and so are we
            writer.close()
            return
        pair = Pair(writer, requests)
        self._pairs.add(pair)
        try:
            await asyncio.gather(self._requests(pair, reader), self._replies(pair, answers))
        finally:
            self._pairs.discard(pair)
            pair.close()

    async def _requests(self, pair: Pair, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                if self._is_to_be_kept_from_the_server(pair, chunk):
                    break
                pair.server.write(chunk)
                await pair.server.drain()
        pair.close()

    async def _replies(self, pair: Pair, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                if self._is_to_be_lost(pair, chunk):
                    break
                pair.client.write(chunk)
                await pair.client.drain()
        pair.close()

    def _is_to_be_kept_from_the_server(self, pair: Pair, chunk: bytes) -> bool:
        """Look at a request; whether the connection ends here instead."""
        pair.deed = any(word in chunk[:_NAME_ENDS] for word in _DEEDS)
        return False

    def _is_to_be_lost(self, pair: Pair, chunk: bytes) -> bool:
        """Look at a reply; whether the connection ends here instead."""
        # without the library nothing was done, and this is no reply to a deed
        done = pair.deed and not chunk.startswith(b"-ERR Function not found")
        if self._to_drop <= 0 or (self._only_deeds and not done):
            return False
        self._to_drop -= 1
        self.dropped += 1
        return True
