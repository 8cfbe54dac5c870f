"""Asks PM2's daemon for its list of apps over its own socket, which takes milliseconds and starts no Node.

The protocol is that of the `pm2` command itself (pm2-axon-rpc over amp): a message is one byte, version and
number of parts, then each part with its length in front; a part is `j:` and JSON or `s:` and a text. It has
been the same since PM2 0.x. Whatever is not as expected here is left to `pm2 jlist`, which then says it.
"""

from __future__ import annotations

import json
import socket
import struct
from pathlib import Path
from typing import Any

_VERSION = 1
_ID = b"s:baton:0"  # a reply repeats it
#: The daemon gathers memory and processor time of each app before it answers.
_PATIENCE_S = 5.0
_CHUNK_BYTES = 65_536


def list_apps(path: Path) -> list[dict[str, Any]] | None:
    """Return what `pm2 jlist` prints; None when the answer is not as expected. Raises OSError for none."""
    call = {"type": "call", "method": "getMonitorData", "args": [{}]}
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(_PATIENCE_S)
        line.connect(str(path))
        line.sendall(message(b"j:" + json.dumps(call).encode(), _ID))
        data = b""
        while (parts := parts_of(data)) is None:
            chunk = line.recv(_CHUNK_BYTES)
            if not chunk:
                return None
            data += chunk
    return _apps(parts)


def message(*parts: bytes) -> bytes:
    """Return parts as one message."""
    head = bytes([_VERSION << 4 | len(parts)])
    return head + b"".join(struct.pack(">I", len(part)) + part for part in parts)


def parts_of(data: bytes) -> list[bytes] | None:
    """Return the parts of a message; None while it is not all there."""
    if not data:
        return None
    found: list[bytes] = []
    position = 1
    for _ in range(data[0] & 0xF):
        if len(data) < position + 4:
            return None
        end = position + 4 + struct.unpack_from(">I", data, position)[0]
        if len(data) < end:
            return None
        found.append(data[position + 4 : end])
        position = end
    return found


def _apps(parts: list[bytes]) -> list[dict[str, Any]] | None:
    if len(parts) != 2 or parts[1] != _ID or not parts[0].startswith(b"j:"):
        return None
    try:
        [apps] = json.loads(parts[0][2:])["args"]
    except (ValueError, KeyError, TypeError):  # an error instead of an answer, or no JSON at all
        return None
    return apps if isinstance(apps, list) else None
