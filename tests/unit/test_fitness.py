"""What is judged of a server: the table of INFO and CONFIG, for servers that no test can start."""

import re
from typing import Any

import pytest

from durable import fitness

SOUND = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}

TOO_OLD: dict[str, tuple[dict[str, Any], str]] = {
    "Redis 6.2": ({"redis_version": "6.2.14"}, "Redis 6.2.14.*update it to Redis 7.0"),
    "Redis 2.8": ({"redis_version": "2.8.4"}, "Redis 2.8.4"),
    "Valkey 7.2": (
        {"redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "7.2.5"},
        "Valkey 7.2.5.*update it to Valkey 8.0",
    ),
    "KeyDB, which counts as the Redis it came from": (
        {"redis_version": "6.3.4", "mvcc_depth": 0},
        "Redis 6.3.4",
    ),
}
NEW_ENOUGH: dict[str, dict[str, Any]] = {
    "Redis 7.0": {"redis_version": "7.0.0", "gcc_version": "4.9.2"},
    "Redis 10": {"redis_version": "10.1"},
    "Redis, unreleased": {"redis_version": "255.255.255"},
    "Valkey 8": {"redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "8.0.1"},
    "Valkey with a redis_version that stood still": {
        "redis_version": "6.2.0",
        "valkey_version": "9.1.2",
    },
}
NOT_JUDGED: dict[str, dict[str, Any]] = {
    "nothing said": {},
    "a version without a number": {"redis_version": "unstable"},
    "Valkey without its version": {"redis_version": "7.2.4", "server_name": "valkey"},
    "Dragonfly": {"redis_version": "6.2.11", "dragonfly_version": "df-v1.14.2"},
    "Kvrocks": {"redis_version": "4.0.0", "kvrocks_version": "2.9.0"},
    "Redict": {"redis_version": "6.9", "redict_version": "7.3.0"},
}


@pytest.mark.parametrize("server", TOO_OLD)
def test_a_server_that_is_too_old_is_named_with_the_version_that_will_do(server: str) -> None:
    info, words = TOO_OLD[server]
    (said,) = fitness.unusable(info)
    assert re.search(words, said)


@pytest.mark.parametrize("server", [*NEW_ENOUGH, *NOT_JUDGED])
def test_a_server_that_is_new_enough_or_cannot_be_judged_is_let_pass(server: str) -> None:
    assert fitness.unusable((NEW_ENOUGH | NOT_JUDGED)[server]) == []


@pytest.mark.parametrize(
    ("info", "words"),
    [
        ({"cluster_enabled": 1}, "cluster-enabled no"),
        ({"redis_mode": "cluster"}, "cluster-enabled no"),
        ({"role": "slave"}, "name the primary"),
        ({"role": "replica"}, "name the primary"),
    ],
)
def test_a_server_on_which_the_queue_cannot_work_says_what_to_name_instead(
    info: dict[str, Any], words: str
) -> None:
    (said,) = fitness.unusable(info)
    assert words in said


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"appendonly": "no"}, "set `appendonly yes`"),
        ({"appendfsync": "everysec"}, "writes to disk everysec.*set `appendfsync always`"),
        ({"appendfsync": "no"}, "set `appendfsync always`"),
        ({"maxmemory-policy": "volatile-lru"}, r"\(volatile-lru\): set `maxmemory-policy noev"),
    ],
)
def test_a_server_that_may_lose_tasks_says_which_setting_to_change(
    setting: dict[str, str], words: str
) -> None:
    (said,) = fitness.unsafe(SOUND | setting)
    assert re.search(words, said)


def test_a_sound_server_has_nothing_said_against_it() -> None:
    info = {"redis_version": "7.0.15", "role": "master", "cluster_enabled": 0}
    assert fitness.judge(info, SOUND) == ([], [])


def test_where_config_is_forbidden_info_is_believed_and_what_it_does_not_say_is_let_pass() -> None:
    assert fitness.judge({}, None) == ([], [])
    assert fitness.judge({"aof_enabled": 1, "maxmemory_policy": "noeviction"}, None) == ([], [])
    told = fitness.judge({"aof_enabled": 0, "maxmemory_policy": "allkeys-lru"}, None)
    assert len(told.unsafe) == 2


def test_a_server_that_knows_no_append_only_file_has_none() -> None:
    assert len(fitness.judge({}, {}).unsafe) == 1
