"""A credential or a claude that is another one than when the gate closed: its entry opens, others stay."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from consumers import mended
from durable.store import LeaseStore
from settings import ClaudeOptions, Settings
from tests.unit.test_housekeeper import settings_in

KEY = ClaudeOptions(env=("ANTHROPIC_API_KEY",))


def paying(folder: Path, key: str, **more: Any) -> Settings:
    return settings_in(folder, host="here", claude=KEY, environ={"ANTHROPIC_API_KEY": key}, **more)


def close(store: LeaseStore, reason: str, settings: Settings) -> None:
    about = mended.about(settings)
    store.close_gate("claude:default", reason, by="a", why="refused", about=about)


def closed(store: LeaseStore) -> list[str]:
    return sorted(entry.reason for entry in store.gate())


@pytest.mark.parametrize("reason", ["login", "billing"])
def test_another_key_opens_the_gate_of_the_old_one(
    store: LeaseStore, tmp_path: Path, reason: str
) -> None:
    old = paying(tmp_path, "old")
    close(store, reason, old)
    store.close_gate("all", "pause", by="me", why="holiday")
    assert mended.reopen_gate(old, store) == []  # a restart mends nothing
    assert mended.reopen_gate(paying(tmp_path, "new"), store) == [reason]
    assert closed(store) == ["pause"]


def test_another_claude_command_may_log_in_otherwise(store: LeaseStore, tmp_path: Path) -> None:
    close(store, "login", paying(tmp_path, "k"))
    found = paying(tmp_path, "k", claude_command="/elsewhere/claude")
    assert mended.reopen_gate(found, store) == ["login"]


def test_a_usage_limit_is_over_when_it_says_so(store: LeaseStore, tmp_path: Path) -> None:
    close(store, "usage limit", paying(tmp_path, "old"))
    assert mended.reopen_gate(paying(tmp_path, "new"), store) == []


def test_what_another_machine_met_is_left_to_it(store: LeaseStore, tmp_path: Path) -> None:
    close(store, "login", paying(tmp_path, "old"))
    elsewhere = msgspec.structs.replace(paying(tmp_path, "new"), host="there")
    assert mended.reopen_gate(elsewhere, store) == []
    store.close_gate("claude:default", "billing", by="a", why="of an older version")
    assert mended.reopen_gate(paying(tmp_path, "old"), store) == []


def test_a_claude_that_is_there_by_now_opens_the_gate(store: LeaseStore, tmp_path: Path) -> None:
    without = paying(tmp_path, "k", claude_command=str(tmp_path / "claude"))
    close(store, mended.MISSING, without)
    assert mended.reopen_gate(without, store) == []
    (tmp_path / "claude").write_text("#!/bin/sh\n")
    (tmp_path / "claude").chmod(0o700)
    assert mended.reopen_gate(without, store) == [mended.MISSING]


def test_no_secret_is_told(tmp_path: Path) -> None:
    assert "s3cret" not in mended.about(paying(tmp_path, "s3cret"))
