"""How facts are printed: tables that fit the terminal, ages, sizes; colour only on a terminal."""

from __future__ import annotations

import os
import re
import sys
import time
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

_CODES = {"red": "31", "green": "32", "yellow": "33", "dim": "2", "bold": "1"}
# A cell of a table that is exactly one of these words is painted.
_TONES = {
    "ready": "green",
    "succeeded": "green",
    "running": "yellow",
    "failed": "red",
    "held": "red",
    "cancelled": "dim",
}
_NARROWEST = 6
_READABLE = 14  # of the last column, while others can be cut
# What JSON leaves as it is, though a terminal may obey it, and halves of characters that no output takes.
_UNSEEN = re.compile(r"[\x7f-\x9f\ud800-\udfff]")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def paint(text: str, tone: str) -> str:
    """Return text in red, green, yellow, dim or bold; as it is when no person looks at it."""
    if not tone or not sys.stdout.isatty() or "NO_COLOR" in os.environ:
        return text
    return f"\x1b[{_CODES[tone]}m{text}\x1b[0m"


def state(word: str) -> str:
    """Return the name of a state in its colour."""
    return paint(word, _TONES.get(word, ""))


def columns() -> int:
    """Return the width of the terminal; unlimited when the output goes elsewhere."""
    return screen()[0] if sys.stdout.isatty() else 10_000


def screen() -> tuple[int, int]:
    """Return columns and lines of the terminal: as COLUMNS and LINES say, else as it says itself."""
    # shutil.get_terminal_size does the same, and brings three libraries for archives along
    try:
        size = os.get_terminal_size(sys.__stdout__.fileno() if sys.__stdout__ else 1)
    except (OSError, ValueError):
        size = os.terminal_size((80, 24))
    named = (os.environ.get("COLUMNS", ""), os.environ.get("LINES", ""))
    wide, high = (
        int(n) if n.isdecimal() and int(n) else s for n, s in zip(named, size, strict=True)
    )
    return wide or 80, high or 24


def table(head: Sequence[str], rows: Iterable[Sequence[str]], width: int | None = None) -> str:
    """Lay out rows under a head; columns are cut until all fit into `width` cells."""
    lines = [[printable(cell) for cell in row] for row in (head, *rows)]
    widths = [max(breadth(line[i]) for line in lines) for i in range(len(head))]
    _narrow(widths, (columns() if width is None else width) - 2 * (len(head) - 1))
    first, *rest = ([cut(c, w) for c, w in zip(line, widths, strict=True)] for line in lines)
    painted = [[paint(cell, _TONES.get(cell.strip(), "")) for cell in line] for line in rest]
    return "\n".join([paint("  ".join(first).rstrip(), "dim"), *map(_joined, painted)])


def _joined(cells: Sequence[str]) -> str:
    return "  ".join(cells).rstrip()


def _narrow(widths: list[int], room: int) -> None:
    """The last column is words, as a rule: it gives way first, then whichever is the widest."""
    widths[-1] = max(min(widths[-1], _READABLE), widths[-1] - max(0, sum(widths) - room))
    while sum(widths) > room and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1


def cut(text: str, width: int) -> str:
    """Return text padded to `width` cells, or cut there with an ellipsis."""
    if breadth(text) <= width:
        return text + " " * (width - breadth(text))
    kept = ""
    for character in text:
        if breadth(kept + character) >= width:
            break
        kept += character
    return f"{kept}…" + " " * (width - breadth(kept) - 1)


def wrapped(text: str, indent: str = "") -> str:
    """Return text with its lines broken between words where the terminal ends; what follows is indented.

    A word that is longer than a line, a path say, is left whole, so that it can be copied.
    """
    return "\n".join(_wrapped(line, indent) for line in text.split("\n"))


def _wrapped(line: str, indent: str) -> str:
    width = columns()
    if _seen(line) <= width:
        return line
    margin = line[: len(line) - len(line.lstrip())]
    lines, used = [margin], breadth(margin)
    for word in line.strip().split(" "):  # more than one blank stays
        glue = "" if not lines[-1].strip() else " "
        if glue and used + 1 + _seen(word) > width:
            lines.append(margin + indent)
            used, glue = breadth(margin + indent), ""
        lines[-1] += glue + word
        used += len(glue) + _seen(word)
    return "\n".join(lines)


def uncoloured(text: str) -> str:
    """Return text without what `paint` put around its parts."""
    return _COLOUR.sub("", text) if "\x1b" in text else text


def _seen(word: str) -> int:
    """How many cells a word takes; its colours take none."""
    return breadth(uncoloured(word))


def breadth(text: str) -> int:
    """Return how many cells of a terminal text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def printable(text: str, keep: str = "") -> str:
    """Return text with everything escaped that could move the cursor, but for `keep`."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in keep else c.encode("unicode_escape", "surrogatepass").decode()
        for c in text
    )


def age(seconds: float) -> str:
    """Return a span as its two largest units: 12s, 3m05s, 2h07m, 5d."""
    whole = max(0, int(seconds))
    for unit, size, smaller, part in (
        ("d", 86_400, "h", 3_600),
        ("h", 3_600, "m", 60),
        ("m", 60, "s", 1),
    ):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size}{unit}{f'{rest:02d}{smaller}' if rest else ''}"
    return f"{whole}s"


def ago(then_ms: int, now_ms: int) -> str:
    """Return how long ago a moment was; "-" for a moment that has not been."""
    return age((now_ms - then_ms) / 1000) if then_ms else "-"


def moment(ms: int) -> str:
    """Return a moment in local time: the time of day, with the date unless it is today."""
    then = time.localtime(ms / 1000)
    today = time.strftime("%Y-%m-%d", then) == time.strftime("%Y-%m-%d")
    return time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M", then)


def size(count: int) -> str:
    """Return bytes in MB."""
    return f"{count / 1e6:.0f} MB" if count else "-"


def usd(amount: float) -> str:
    """Return a cost; "-" where there is none."""
    return f"${amount:.2f}" if amount else "-"


def print_json(facts: Any) -> None:
    """Print facts for a program."""
    import json  # who prints for people does without

    text = json.dumps(facts, indent=2, ensure_ascii=False, default=str)
    print(_UNSEEN.sub(lambda found: json.dumps(found[0])[1:-1], text))
