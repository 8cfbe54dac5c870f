"""docs/configuration.md says of every setting what the code does with it."""

from __future__ import annotations

from typing import get_type_hints

import pytest

from settings import _SECTIONS, meanings, reference
from settings.types import ClaudeOptions, ConsumerGroup, Feed, Http, Poller, Schedule, Watcher
from tests.conftest import ROOT

EXPLAINED = [
    (ClaudeOptions, {**meanings.CLAUDE}, {"command"}),
    (Watcher, {**meanings.ENTRY, **meanings.WATCHER}, set()),
    (Poller, {**meanings.ENTRY, **meanings.POLLER}, {"result"}),
    (Schedule, {**meanings.ENTRY, **meanings.SCHEDULE}, set()),
    (Http, {**meanings.HTTP}, set()),
    (Feed, {**meanings.FEED}, set()),
    (ConsumerGroup, {**meanings.GROUP}, set()),
]


def test_the_page_is_what_the_types_say() -> None:
    assert (ROOT / reference.FILE).read_text() == reference.page(), (
        "run: python -m settings.reference"
    )


@pytest.mark.parametrize(
    ("kind", "words", "more"), EXPLAINED, ids=lambda v: getattr(v, "__name__", "")
)
def test_each_setting_is_explained_and_nothing_else(
    kind: type, words: dict[str, str], more: set[str]
) -> None:
    assert set(words) - more == set(get_type_hints(kind)) - {"name", "options"}


def test_the_top_of_the_page_has_what_the_file_may_have() -> None:
    assert set(reference.TOP) == set(_SECTIONS) == set(meanings.TOP)
