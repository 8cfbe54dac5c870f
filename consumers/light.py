"""What the runner needs of json and signal, without the 20 ms that importing them adds to a run.

CPython's own scanner (json's C half) reads what is well-formed; anything else, and any Python
without that half, goes to json itself, which also finds the words for what is wrong.
"""

from __future__ import annotations

try:
    from _json import encode_basestring_ascii, make_scanner
except ImportError:  # another Python than CPython
    make_scanner = None  # type: ignore[assignment,misc]

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as signal
    from collections.abc import Mapping
    from typing import Any
else:
    import _signal as signal  # the C half: all the names, none of the enums

__all__ = ["dumps", "loads", "signal"]


class _Context:
    """What json.JSONDecoder tells the scanner."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int, parse_constant = float, int, float
    memo: dict[str, str] = {}  # noqa: RUF012 - the scanner empties it itself


def loads(text: bytes) -> Any:
    """The value of a JSON text in UTF-8. Raises ValueError (json.JSONDecodeError)."""
    if make_scanner is not None:
        words = text.decode("utf-8", "replace").strip()
        try:
            value, end = make_scanner(_Context)(words, 0)  # type: ignore[arg-type]  # takes any such object
        except (StopIteration, SystemError, ValueError, RecursionError):
            end = -1  # malformed: without json's Python half, the C half has no words for it
        if end == len(words):
            return value
    import json

    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def dumps(row: Mapping[str, str | float | bool | None]) -> str:
    """One flat object as JSON text, ASCII only."""
    if make_scanner is None:
        import json

        return json.dumps(row)
    return "{" + ", ".join(f"{_scalar(key)}: {_scalar(row[key])}" for key in row) + "}"


def _scalar(value: str | float | bool | None) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return encode_basestring_ascii(value) if isinstance(value, str) else repr(value)
