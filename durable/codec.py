"""Messages and results as JSON, never pickle: what Python values become, and how they come back unchanged.

A value that JSON has no word for is written as `{"$": KIND, "v": VALUE}`. Reading builds only the kinds
listed here, so nothing is executed by being read.
"""

from __future__ import annotations

import base64
import datetime as dt
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any
from uuid import UUID

import msgspec

from durable.errors import BatonError, CodecError

TAG = "$"
_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder()
_SAFE_INT = 2**63
_BASES: tuple[type[Any], ...] = (str, int, float, list, dict)


class RemoteError(BatonError):
    """An exception of another process, as its type's name and its text."""

    def __init__(self, type_name: str, text: str) -> None:
        self.type_name, self.text = type_name, text
        super().__init__(f"{type_name}: {text}")


def dumps(value: object) -> bytes:
    """JSON of `value`. Raises CodecError that names what cannot be written, and where."""
    try:
        return _ENCODER.encode(_plain(value, "$"))
    except RecursionError as error:
        raise CodecError("the value is nested too deeply, or contains itself") from error


def loads(data: bytes) -> Any:
    """The value that `dumps` wrote. Raises CodecError for anything else."""
    return _decoded(data, _kinds())


def peek(data: bytes) -> Any:
    """As `loads`, for those who only look: a message and an error come as dicts of their fields, without Huey."""
    return _decoded(data, _LOOKED_AT)


def _decoded(data: bytes, kinds: Mapping[str, _Kind]) -> Any:
    try:
        return _lively(_DECODER.decode(data), kinds)
    except CodecError:
        raise
    except (
        msgspec.DecodeError,
        TypeError,
        ValueError,
        KeyError,
        LookupError,
        RecursionError,
    ) as error:
        raise CodecError(
            f"not a message of Baton: {error}; it begins with {bytes(data[:60])!r}"
        ) from error


class JsonSerializer:
    """The codec behind Huey's serializer interface."""

    def serialize(self, data: object) -> bytes:
        """See dumps."""
        return dumps(data)

    def deserialize(self, data: bytes) -> Any:
        """See loads."""
        return loads(data)


def _tagged(kind: str, value: object) -> dict[str, object]:
    return {TAG: kind, "v": value}


def _plain(value: Any, where: str) -> Any:
    kind = type(value)
    if kind is str:
        return _plain_text(value)
    if value is None or kind is bool:
        return value
    if kind is int:
        return value if -_SAFE_INT <= value < _SAFE_INT else _tagged("int", str(value))
    if kind is float:
        return value if math.isfinite(value) else _tagged("float", str(value))
    if kind is list:
        return [_plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if kind is dict:
        return _plain_dict(value, where)
    return _plain_special(value, where)


def _plain_text(value: str) -> Any:
    try:
        value.encode()
    except UnicodeEncodeError:  # file names may carry bytes that are no UTF-8
        return _tagged("str", _b64(value.encode("utf-8", "surrogatepass")))
    return value


def _plain_dict(value: dict[Any, Any], where: str) -> Any:
    if all(type(k) is str and k.isascii() for k in value) and TAG not in value:
        return {k: _plain(v, f"{where}.{k}") for k, v in value.items()}
    pairs = [[_plain(k, where), _plain(v, f"{where}.{k}")] for k, v in value.items()]
    return _tagged("dict", pairs)


def _plain_special(value: Any, where: str) -> Any:
    for kind, (type_, write, _) in _kinds().items():
        if isinstance(value, type_):
            return _tagged(kind, _plain(write(value), where))
    if isinstance(value, msgspec.Struct):
        return _plain(msgspec.structs.asdict(value), where)
    for base in _BASES:  # their subclasses: an IntEnum, a defaultdict
        if isinstance(value, base):
            return _plain(base(value), where)
    raise CodecError(
        f"{type(value).__name__} at {where} cannot be stored: arguments and results are JSON. "
        "Pass text, numbers, lists, dicts, dates or a path instead"
    )


def _lively(value: Any, kinds: Mapping[str, _Kind]) -> Any:
    if type(value) is list:
        return [_lively(item, kinds) for item in value]
    if type(value) is not dict:
        return value
    if TAG not in value:
        return {k: _lively(v, kinds) for k, v in value.items()}
    try:
        read = kinds[value[TAG]][2]
    except (KeyError, TypeError) as error:
        raise CodecError(f"not a message of Baton: unknown kind {value[TAG]!r}") from error
    return read(_lively(value["v"], kinds))


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _message_to_dict(message: Any) -> dict[str, Any]:
    return {k: v for k, v in message._asdict().items() if v is not None}


def _dict_to_message(fields: dict[str, Any]) -> Any:
    from huey.registry import Message

    known = {
        k: v for k, v in fields.items() if k in Message._fields
    }  # a newer writer may know more
    return Message(**known)


def _error_to_pair(error: BaseException) -> list[str]:
    if isinstance(error, RemoteError):
        return [error.type_name, error.text]
    return [type(error).__name__, str(error)]


_Kind = tuple[type | tuple[type, ...], Callable[[Any], Any], Callable[[Any], Any]]

_PLAIN: dict[str, _Kind] = {  # a datetime before a date, whose subclass it is
    "tuple": (tuple, list, tuple),
    "set": ((set,), lambda s: sorted(s, key=repr), set),
    "frozenset": (frozenset, lambda s: sorted(s, key=repr), frozenset),
    "bytes": ((bytes, bytearray), lambda b: _b64(bytes(b)), base64.b64decode),
    "str": ((), str, lambda v: base64.b64decode(v).decode("utf-8", "surrogatepass")),
    "int": ((), str, int),
    "float": ((), str, float),
    "dict": ((), list, lambda pairs: {_key(k): v for k, v in pairs}),
    "datetime": (dt.datetime, dt.datetime.isoformat, dt.datetime.fromisoformat),
    "date": (dt.date, dt.date.isoformat, dt.date.fromisoformat),
    "time": (dt.time, dt.time.isoformat, dt.time.fromisoformat),
    "timedelta": (
        dt.timedelta,
        lambda d: [d.days, d.seconds, d.microseconds],
        lambda v: dt.timedelta(*v),
    ),
    "decimal": (Decimal, str, Decimal),
    "uuid": (UUID, str, UUID),
    "exception": (BaseException, _error_to_pair, lambda v: RemoteError(str(v[0]), str(v[1]))),
}

_LOOKED_AT: dict[str, _Kind] = {
    name: ((), dict, lambda value: value) for name in ("message", "error", "skipped")
} | _PLAIN


@cache
def _kinds() -> dict[str, _Kind]:
    """Huey's own before all others: a message is a tuple. Who only looks does not load them."""
    from huey.registry import Message
    from huey.utils import SKIPPED, Error

    return {
        "message": (Message, _message_to_dict, _dict_to_message),
        "error": (Error, lambda e: e.metadata, Error),
        # a chord's member that never ran
        "skipped": (type(SKIPPED), lambda _: None, lambda _: SKIPPED),
        **_PLAIN,
    }


def _key(key: Any) -> Any:
    return tuple(key) if isinstance(key, list) else key
