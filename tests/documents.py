"""What the documents show: commands of the command line, links, names of tests."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.conftest import ROOT

PAGES = sorted(
    page for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md") for page in ROOT.glob(pattern)
)
_FENCE = re.compile(r"^```[a-z]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_CALL = re.compile(r"\./baton(?= |$)((?:[^\n#&|;`\"]|\"[^\"\n]*\"| {1,7}(?=\S))*)")


class Shown(NamedTuple):
    """One call of the command line on a page, as words after `./baton`."""

    page: str
    words: tuple[str, ...]


def commands() -> list[Shown]:
    """Every call that any page shows, in blocks and in sentences, once."""
    return sorted(set(_commands()))


def _commands() -> Iterator[Shown]:
    for page in PAGES:
        text = page.read_text()
        blocks = _FENCE.findall(text)
        spans = _SPAN.findall(_FENCE.sub("", text))
        for line in [line for block in blocks for line in block.splitlines()] + spans:
            if re.search("[─│►]", line):
                continue  # a drawing
            # two commands in a line of a block stand far apart
            for part in re.split(r" {2,}(?=\./baton)", line):
                for words in _CALL.findall(part):
                    yield Shown(page.relative_to(ROOT).as_posix(), tuple(shlex.split(words)))


def relative_links(page: Path) -> Iterator[str]:
    """Where a page's links lead, but for those to the web."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not re.match(r"[a-z]+:", target):
            yield target


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text()), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.strip().replace(" ", "-") for heading in plain}
