"""docs/security.md promises nothing that no test tries: each test that it names is there."""

import re

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text()
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)


def test_every_test_that_the_page_names_is_there() -> None:
    assert len(NAMED) > 30
    gone = [f"{file}::{name}" for file, name in NAMED if f"def {name}(" not in text_of(file)]
    assert gone == []


def text_of(file: str) -> str:
    found = ROOT / file
    return found.read_text() if found.exists() else ""


def test_every_row_of_an_attack_names_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
    bare = [r for r in rows if "`tests/" not in r and not r.rstrip().endswith("| test |")]
    assert bare == []
