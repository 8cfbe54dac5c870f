"""What `up` starts, restarts, removes and leaves alone."""

from pathlib import Path

import pytest

from cli.apps import STAGE, App
from cli.converge import Place, Steps, steps
from cli.pm2 import Process
from cli.up import batches

HERE = Place("baton", Path("/repo"), Path("/repo/var"))


def app(name: str, fingerprint: str = "f1") -> App:
    return App(
        name=name,
        role="consumer",
        arg="1",
        stage="consumers",
        namespace="baton-consumers",
        kill_timeout_ms=1000,
        log="/repo/var/logs/x.log",
        out="/repo/var/logs/x.out",
        max_memory_bytes=0,
        env={"BATON_FINGERPRINT": fingerprint},
    )


def process(
    name: str,
    *,
    status: str = "online",
    pid: int = 7,
    cwd: str = "/repo",
    var: str = "/repo/var",
    fingerprint: str = "f1",
) -> Process:
    env = {"BATON_FINGERPRINT": fingerprint, "BATON_VAR": var}
    return Process(name, pid, status, cwd, env, 0, 0, 0, None)


ONE = "baton-consumer-1"


def test_nothing_changed_nothing_touched() -> None:
    assert steps([app(ONE)], [process(ONE)], HERE) == Steps(keep=(ONE,))


def test_an_app_that_is_still_starting_is_left_to_it() -> None:
    assert steps([app(ONE)], [process(ONE, status="launching")], HERE).keep == (ONE,)


def test_a_consumer_that_is_no_longer_named_drains_while_it_runs() -> None:
    assert steps([], [process(ONE)], HERE) == Steps(drain=(ONE,))
    assert steps([], [process(ONE, status="stopped", pid=0)], HERE) == Steps(remove=(ONE,))
    assert steps([], [process("baton-scheduler")], HERE) == Steps(remove=("baton-scheduler",))


def test_what_is_missing_is_started() -> None:
    assert steps([app(ONE)], [], HERE) == Steps(start=(ONE,))


def test_what_changed_is_started_anew() -> None:
    found = steps([app(ONE, "f2")], [process(ONE)], HERE)
    assert found == Steps(replace=(ONE,))


@pytest.mark.parametrize("status", ["stopped", "errored", "waiting restart", "stopping"])
def test_what_does_not_run_is_started_anew(status: str) -> None:
    assert steps([app(ONE)], [process(ONE, status=status, pid=0)], HERE).replace == (ONE,)


def test_two_apps_of_one_name_become_one() -> None:
    assert steps([app(ONE)], [process(ONE), process(ONE)], HERE).replace == (ONE,)


def test_what_is_gone_from_the_settings_is_removed() -> None:
    found = steps([app(ONE)], [process(ONE), process("baton-watch-old")], HERE)
    assert found == Steps(keep=(ONE,), remove=("baton-watch-old",))


def test_a_restart_spares_nobody_that_it_names() -> None:
    assert steps([app(ONE)], [process(ONE)], HERE, forced=[ONE]).replace == (ONE,)


@pytest.mark.parametrize(
    "stranger",
    [
        process("shop", cwd="/repo"),
        process("baton-shop"),
        process("batonette-consumer-1"),
        process("baton-watch-x", cwd="/other"),
        process("baton-watch-x", var="/other/var"),
    ],
)
def test_apps_of_others_are_never_removed(stranger: Process) -> None:
    assert steps([app(ONE)], [process(ONE), stranger], HERE) == Steps(keep=(ONE,))


def test_a_name_of_ours_in_another_folder_is_a_clash() -> None:
    there = process("baton-redis", cwd="/other")
    assert HERE.clashes([process(ONE), process("shop", cwd="/other"), there]) == [there]


def test_what_runs_is_started_anew_one_by_one_after_what_nobody_has_at_work() -> None:
    names = ("redis", "watch-a", "scheduler", "consumer-1", "consumer-2")
    stages = [STAGE[name.partition("-")[0]] for name in names]
    pairs = zip(names, stages, strict=True)
    plan = [app(f"baton-{name}")._replace(stage=stage) for name, stage in pairs]
    found = batches(plan, {"baton-redis", "baton-scheduler", "baton-consumer-1"})
    assert [[one.name.removeprefix("baton-") for one in batch] for batch in found] == [
        ["redis"], ["watch-a", "consumer-2"], ["scheduler"], ["consumer-1"],
    ]  # fmt: skip
    assert [len(batch) for batch in batches(plan, ())] == [1, 4]
