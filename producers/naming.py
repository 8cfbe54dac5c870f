"""File names as bytes: how one is written into a prompt, and how one gets a number. Pure."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator

#: Most file systems take names of 255 bytes.
_LONGEST = 255
#: Control characters, bytes that are no UTF-8 (surrogates here), line and paragraph separators.
_UNWRITABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})


def writable(name: bytes) -> str:
    """The name as text that can stand in a prompt on one line.

    Ordinary names come back as they are. Bytes that are no UTF-8, and characters that break a line,
    become %XX.
    """
    text = name.decode("utf-8", "surrogateescape")
    if text.isprintable():  # none of the unwritable ones is
        return text
    shown = "".join(c if unicodedata.category(c) not in _UNWRITABLE else _percent(c) for c in text)
    return shown if shown == text else _shortened(shown)


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))


def _shortened(name: str) -> str:
    encoded = name.encode()
    if len(encoded) <= _LONGEST:
        return name
    stem, suffix = os.path.splitext(encoded)
    suffix = suffix[:20]
    return (stem[: _LONGEST - len(suffix)] + suffix).decode("utf-8", "ignore")


def numbered(name: bytes) -> Iterator[bytes]:
    """The name, then `stem (2).suffix`, `stem (3).suffix` and so on, cut to what a name may be."""
    yield name
    stem, suffix = os.path.splitext(name)
    number = 2
    while True:
        tail = b" (%d)" % number + suffix[-(_LONGEST // 2) :]
        yield stem[: _LONGEST - len(tail)] + tail
        number += 1
