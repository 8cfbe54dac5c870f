"""The documents name only what there is: verbs with their options, files, headings, tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cli import parser as grammar
from tests.conftest import ROOT
from tests.documents import PAGES, Shown, anchors, commands, relative_links


@pytest.mark.parametrize("shown", commands(), ids=lambda s: f"{s.page}: {' '.join(s.words)}")
def test_each_command_is_one_of_the_grammar(
    shown: Shown, capsys: pytest.CaptureFixture[str]
) -> None:
    if not shown.words or shown.words[0] in (*grammar.PASSED_THROUGH, "VERB", "--help"):
        return
    verb, *rest = shown.words
    # a verb without what it needs is how a sentence names it
    if not rest and verb in grammar.parser().format_help():
        return
    words = [verb, *(word for word in rest if word not in ("…", "..."))]
    grammar.parser(verb).parse_args([re.sub(r"^(N|COUNT|AGE)$", "1", word) for word in words])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_each_link_leads_somewhere(page: Path) -> None:
    for link in relative_links(page):
        target, _, anchor = link.partition("#")
        file = page.parent / target if target else page
        assert file.exists(), link
        assert not anchor or anchor in anchors(file), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_each_test_that_is_named_exists(page: Path) -> None:
    there = {file.name for file in (ROOT / "tests").rglob("test_*.py")}
    named = set(re.findall(r"\btest_\w+\.py\b", page.read_text()))
    assert named <= there
