"""Values as people write them in baton.yaml: durations, names, lists, and what may stand in each.

One value at a time, without knowing file or line; that is document.py's part.
"""

import re
import types
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Meta

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_NUMBER = r"(?:\d+(?:\.\d+)?)"
_UNITED = re.compile("".join(rf"(?:({_NUMBER}){unit})?" for unit in _UNITS), re.ASCII)
_BARE = re.compile(_NUMBER, re.ASCII)
#: What every field that holds a length of time accepts.
DURATION_WORDS = "a duration such as 250ms, 90s, 5m, 1h30m or 2d, or a number of seconds"
_SIZES = {"": 1, "B": 1} | {
    unit: base**power
    for base, units in ((1000, ("KB", "MB", "GB", "TB")), (1024, ("KIB", "MIB", "GIB", "TIB")))
    for power, unit in enumerate(units, 1)
}
_SIZE = re.compile(rf"({_NUMBER})\s*([A-Za-z]*)", re.ASCII)
_SIZE_WORDS = "a size such as 500MB, 5GB or 1.5GiB, from 1MB on"
_LONGEST_S = 3650 * 86400.0  # ten years; beyond it a slip is likelier than a wish


class Duration(float):
    """A length of time in seconds that prints the way people write it: `1h30m`."""

    __slots__ = ()

    def __str__(self) -> str:
        left_ms = round(self * 1000)
        if abs(left_ms / 1000 - self) > 1e-9:
            return f"{float(self)!r}s"
        words = ""
        for unit, seconds in _UNITS.items():
            count, left_ms = divmod(left_ms, round(seconds * 1000))
            words += f"{count}{unit}" if count else ""
        return words or "0s"


def parse_duration(text: str | int | float) -> Duration:
    """Seconds from `5m`, `1h30m`, `90s`, `2d`, `250ms` or a bare number of seconds.

    Units stand in falling order, each at most once. Raises ValueError with what is allowed for
    anything else, a negative or endless length, and more than ten years.
    """
    seconds = _seconds(text)
    if seconds is None or not 0 <= seconds <= _LONGEST_S:
        raise ValueError(f"{text!r} is not {DURATION_WORDS}, at most 3650d")
    return Duration(seconds)


class Size(int):
    """A number of bytes that prints the way people write it: `5GB`, `1.5GB`."""

    def __str__(self) -> str:
        for unit in ("TB", "GB", "MB"):
            if self >= _SIZES[unit]:
                return f"{self / _SIZES[unit]:.4g}{unit}"
        return f"{int(self)}B"


def parse_size(text: str | int | float) -> Size:
    """Bytes from `500MB`, `5 GB` (powers of 1000), `1.5GiB` (of 1024) or a bare number of bytes.

    Raises ValueError with what is allowed for anything else, and for less than a megabyte.
    """
    found = None if isinstance(text, bool) else _SIZE.fullmatch(str(text).strip())
    factor = _SIZES.get(found[2].upper()) if found else None
    if found is None or factor is None or float(found[1]) * factor < _SIZES["MB"]:
        raise ValueError(f"{text!r} is not {_SIZE_WORDS}")
    return Size(float(found[1]) * factor)


def _seconds(text: object) -> float | None:
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        return None
    if not isinstance(text, str):
        return float(text) if abs(text) <= _LONGEST_S else None
    word = text.strip()
    if _BARE.fullmatch(word):
        return float(word)
    united = _UNITED.fullmatch(word) if word else None
    if united is None:
        return None
    parts = zip(united.groups(), _UNITS.values(), strict=True)
    return sum(float(count) * seconds for count, seconds in parts if count)


# What a field may hold. `description` is the text that an error message shows.
Text = Annotated[str, Meta(min_length=1, description="text")]
Texts = Annotated[tuple[Text, ...], Meta(description="a list of text, or one text")]
Tools = Annotated[tuple[str, ...], Meta(description='a list of tools, or "" for none')]
Words = Annotated[tuple[Text, ...], Meta(min_length=1, description="a command line, or its words")]
Command = Annotated[tuple[Text, ...], Meta(description="a command line, or its words")]
Pause = Annotated[Duration, Meta(description=DURATION_WORDS)]
Span = Annotated[
    Duration, Meta(extra={"minimum_s": 0.001}, description=f"{DURATION_WORDS}, above 0")
]
Period = Annotated[
    Duration, Meta(extra={"minimum_s": 1.0}, description=f"{DURATION_WORDS}, 1s or more")
]
Room = Annotated[Size, Meta(description=_SIZE_WORDS)]
Usd = Annotated[float, Meta(gt=0, description="an amount in USD above 0")]
Percent = Annotated[int, Meta(ge=1, le=100, description="a whole number from 1 to 100")]
Count = Annotated[int, Meta(ge=0, description="a whole number, 0 or more")]
Processes = Annotated[int, Meta(ge=0, le=256, description="a whole number from 0 to 256")]
AtLeastOne = Annotated[int, Meta(ge=1, description="a whole number, 1 or more")]
# The queue's score keeps 2^40 places a priority in a double: 1000 leaves room to spare.
Priority = Annotated[
    int, Meta(ge=-1000, le=1000, description="a whole number from -1000 to 1000 (more is sooner)")
]
Queue = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9][a-z0-9_.:-]{0,99}\Z",
        description="a queue name of a-z, 0-9 and _ . : -",
    ),
]
Variable = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*\Z",
        description="the name of a variable; its value stands in .env",
    ),
]
Variables = Annotated[
    tuple[Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*\Z")], ...],
    Meta(description="a list of variable names; their values stand in .env"),
]
Cron = Annotated[
    str,
    Meta(
        pattern=r"^\s*(@\w+|\S+(\s+\S+)+)\s*\Z",  # CronSpec says of the rest what is wrong
        description='five fields in quotes, such as "0 9 * * 1", or "@daily" and its like',
    ),
]
Json = Annotated[dict[str, Any], Meta(description="a mapping")]
Instance = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9][a-z0-9-]{0,29}\Z",
        description="1 to 30 of a-z, 0-9 and -, beginning with a letter or digit",
    ),
]
Host = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9][a-z0-9_.-]{0,59}\Z",
        description="1 to 60 of a-z, 0-9 and _ . -, beginning with a letter or digit",
    ),
]
ENTRY_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")
#: More names than this nobody reads in a message.
_READABLE = 24
ENTRY_NAME_WORDS = "1 to 60 of a-z, 0-9 and -, beginning with a letter or digit"


class BadValueError(ValueError):
    """A value that its field does not allow. Fields: value, allowed, and index in a list."""

    def __init__(self, value: object, allowed: str, index: int | None = None) -> None:
        super().__init__(value, allowed, index)
        self.value, self.allowed, self.index = value, allowed, index

    def __str__(self) -> str:
        return f"{shown(self.value)} is not allowed; allowed: {self.allowed}"


def convert(value: object, kind: Any) -> Any:
    """`value` as read from YAML or JSON, in the type that a field of the settings has.

    One text stands for a list of one. Raises BadValueError.
    """
    wanted = value
    if isinstance(value, str) and is_list(kind):
        wanted = [value]
    try:
        result = msgspec.convert(wanted, kind, dec_hook=_hook)
    except (msgspec.ValidationError, UnicodeError) as error:
        raise _bad(wanted, kind, str(error)) from error
    if isinstance(result, Duration) and result < _minimum_s(kind):
        raise BadValueError(value, allowed(kind))
    return result


def allowed(kind: Any) -> str:
    """What a field of this type accepts, in words."""
    for meta in getattr(kind, "__metadata__", ()):
        if meta.description:
            return str(meta.description)
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return ", ".join(parts)
    if origin in (Union, types.UnionType):
        return ", ".join(allowed(part) for part in parts if part is not type(None))
    if origin is tuple:
        return f"a list of: {allowed(parts[0])}"
    return "true or false" if kind is bool else str(getattr(kind, "__name__", kind))


def is_list(kind: Any) -> bool:
    """True for a field that holds a list."""
    return get_origin(kind.__origin__ if hasattr(kind, "__metadata__") else kind) is tuple


def shown(value: object) -> str:
    """A value as an error message repeats it: short, on one line, the way YAML would say it."""
    if value is None:
        return "nothing"
    import json  # only a mistake pays for it; unlike msgspec's it takes any text

    text = json.dumps(value, ensure_ascii=False, default=str)
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= 60 else text[:57] + "..."


def choices_for(word: str, choices: Iterable[str]) -> str:
    """What to say about a name that is none of the choices: the nearest, and all where they are not too many."""
    import difflib  # only a mistake pays for it

    names = list(choices)
    plain = {name.replace("_", "").lower(): name for name in names}
    bare = word.lower().replace("_", "").replace("-", "")
    few = len(names) <= _READABLE
    close = [plain[name] for name in difflib.get_close_matches(bare, plain, 1 if few else 3, 0.6)]
    hint = f"Did you mean {close[0]}? " if close else ""
    hint += f"Also close: {', '.join(close[1:])}. " if close[1:] else ""
    every = f"Allowed: {', '.join(names)}" if few else f"docs/configuration.md has all {len(names)}"
    return f"{hint}{every}."


def _bad(value: object, kind: Any, message: str) -> BadValueError:
    place = re.search(r"`\$\[(\d+)\]", message)
    if place is not None and isinstance(value, (list, tuple)):
        index = int(place[1])
        return BadValueError(value[index], allowed(kind), index)
    return BadValueError(value, allowed(kind))


def _minimum_s(kind: Any) -> float:
    for part in (kind, *get_args(kind)):
        for meta in getattr(part, "__metadata__", ()):
            return float((meta.extra or {}).get("minimum_s", 0))
    return 0.0


def _hook(kind: type, value: Any) -> Any:
    if kind is Duration:
        return parse_duration(value)
    if kind is Size:
        return parse_size(value)
    raise NotImplementedError(kind)  # a field of the settings whose type nobody can read
