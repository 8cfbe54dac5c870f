"""A program as a source of items: a whole answer or none, within limits, and nothing left behind."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import pytest

from producers.sources import SourceError, Stopped
from producers.sources import command as source
from producers.sources.command import Command, environment, parse
from tests.conftest import wait_until


def run(
    code: str, tmp_path: Path, *, timeout_s: float = 20.0, place: str = "", **env: str
) -> list[str]:
    argv = [sys.executable, "-c", code]
    path = {"PATH": os.environ["PATH"]}
    found = Command(argv, timeout_s, tmp_path, {**path, **env}, tmp_path / "lock").fetch(
        place, lambda: False
    )
    return [item.id for item in found.items]


# -- what is printed


def test_each_line_is_an_item_with_its_id() -> None:
    found = parse(b'{"id": "a", "title": "x"}\n\n{"id": 7}\r\n{"id": 1.5}')
    assert [(item.id, item.data) for item in found.items] == [
        ("a", {"id": "a", "title": "x"}),
        ("7", {"id": 7}),
        ("1.5", {"id": 1.5}),
    ]


def test_an_id_with_half_a_character_becomes_one_that_can_be_stored() -> None:
    [item] = parse(b'{"id": "\\ud800"}').items
    assert item.id == "\\ud800"


def test_no_output_is_no_item() -> None:
    assert parse(b"").items == ()


def test_a_cursor_line_is_the_place_to_go_on_from() -> None:
    found = parse(b'{"id": 1}\n{"cursor": "page-2"}\n', "page-1")
    assert (len(found.items), found.place) == (1, "page-2")
    assert parse(b'{"id": 1}', "page-1").place == "page-1"
    assert parse(b'{"id": 1, "cursor": "mine"}').place == ""


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"oops", "is no JSON "),
        (b'{"id": 1', "is no JSON "),
        (b'["id"]', "is no JSON object"),
        (b"7", "is no JSON object"),
        (b'{"title": "x"}', "has no `id`"),
        (b'{"id": ""}', "has no `id`"),
        (b'{"id": null}', "has no `id`"),
        (b'{"id": true}', "has no `id`"),
        (b'{"id": [1]}', "has no `id`"),
        (b'{"id": NaN}', "holds NaN"),
        (b'{"id": 1, "x": Infinity}', "holds Infinity"),
        (b'{"id": "\xff"}', "is no UTF-8"),
        (b"[" * 100_000, ""),
    ],
)
def test_one_bad_line_refuses_the_whole_answer_and_is_named(line: bytes, problem: str) -> None:
    with pytest.raises(SourceError, match=f"line 2 .*{problem}"):
        parse(b'{"id": "good"}\n' + line + b'\n{"id": "good too"}\n')


# -- the program


def test_the_items_of_a_program_that_ends_well(tmp_path: Path) -> None:
    assert run("print('{\"id\": 1}'); print('{\"id\": 2}')", tmp_path) == ["1", "2"]


def test_another_exit_status_than_0_is_a_failure_with_its_last_words(tmp_path: Path) -> None:
    code = "import sys; print('{\"id\": 1}'); print('no token', file=sys.stderr); sys.exit(3)"
    with pytest.raises(SourceError, match=r"exited with 3: no token$"):
        run(code, tmp_path)


def test_a_signal_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="was ended by SIGSEGV"):
        run("import os; os.kill(os.getpid(), 11)", tmp_path)


def test_a_program_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no-such-program cannot be started: No such file"):
        Command(["no-such-program"], 5, tmp_path, {"PATH": "/bin"}, tmp_path / "l").fetch(
            "", lambda: False
        )


def test_a_program_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    begun = time.monotonic()
    with pytest.raises(SourceError, match=r"not done after 0.3 s"):
        run("import time; time.sleep(60)", tmp_path, timeout_s=0.3)
    assert time.monotonic() - begun < 5


def test_a_program_that_closes_its_output_and_goes_on_is_ended_too(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="not done after"):
        run("import os, time; os.close(1); os.close(2); time.sleep(60)", tmp_path, timeout_s=0.5)


@pytest.mark.parametrize("leave", ["os.setsid()", "os.setpgid(0, 0)"])
def test_a_program_that_has_left_its_group_is_ended_too(tmp_path: Path, leave: str) -> None:
    pid = tmp_path / "pid"
    code = f"""
import os, pathlib, signal, time
{leave}
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path({str(pid)!r}).with_suffix(".new").write_text(str(os.getpid()))
os.rename({str(pid)!r} + ".new", {str(pid)!r})
time.sleep(60)
"""
    argv, env = [sys.executable, "-c", code], {"PATH": os.environ["PATH"]}
    found = Command(argv, 50.0, tmp_path, env, tmp_path / "lock")
    begun = time.monotonic()
    with pytest.raises(Stopped):
        found.fetch("", pid.exists)
    assert time.monotonic() - begun < 40
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_a_program_that_prints_without_end_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "OUTPUT_LIMIT", 1 << 20)
    with pytest.raises(SourceError, match="printed more than 1 MB"):
        run("while True: print('x' * 10000)", tmp_path)


def test_a_stop_ends_a_program_that_ignores_sigterm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_GRACE_S", 0.2)
    code = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "open('pid', 'w').write(str(os.getpid()))\n"
        "time.sleep(60)"
    )
    pid = tmp_path / "pid"
    argv = [sys.executable, "-c", code]
    with pytest.raises(Stopped):
        Command(argv, 60, tmp_path, {}, tmp_path / "lock").fetch(
            "", lambda: pid.exists() and bool(pid.read_text())
        )
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_nothing_that_a_program_left_in_its_group_lives_on(tmp_path: Path) -> None:
    code = (
        "import subprocess\n"
        "nowhere = {'stdout': subprocess.DEVNULL, 'stderr': subprocess.DEVNULL}\n"
        "p = subprocess.Popen(['sleep', '60'], **nowhere)\n"
        "print('{\"id\": %d}' % p.pid)"
    )
    [pid] = run(code, tmp_path)
    gone = Path(f"/proc/{pid}/stat")
    wait_until(lambda: not gone.exists() or gone.read_text().split()[2] == "Z", what="it is gone")


def test_a_program_does_not_run_beside_itself(tmp_path: Path) -> None:
    code = "import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(60)"
    argv, lock, ended = [sys.executable, "-c", code], tmp_path / "lock", threading.Event()
    first = Command(argv, 60, tmp_path, {}, lock)
    next_argv = [sys.executable, "-c", "print('{\"id\": 2}')"]
    hasty, other = (Command(next_argv, limit_s, tmp_path, {}, lock) for limit_s in (0.3, 60))

    def run_first() -> None:
        with pytest.raises(Stopped):
            first.fetch("", ended.is_set)

    thread = threading.Thread(target=run_first, daemon=True)
    thread.start()
    wait_until(lambda: (tmp_path / "pid").exists(), what="the first runs")
    with pytest.raises(SourceError, match=r"its last run is not over after 0\.3 s"):
        hasty.fetch("", lambda: False)
    ended.set()
    assert [item.id for item in other.fetch("", lambda: False).items] == ["2"]
    thread.join()


def test_a_program_sees_only_what_was_named_and_has_no_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PM2_HOME", "/x")
    code = (
        "import json, os, sys\n"
        "seen = sorted(k for k in os.environ if k != 'LC_CTYPE')\n"
        "print(json.dumps({'id': ','.join(seen)}))\n"
        "print(json.dumps({'id': 'input:' + sys.stdin.read()}))\n"
        "print(json.dumps({'id': os.getcwd()}))\n"
        "print(json.dumps({'id': os.environ['BATON_CURSOR']}))"
    )
    seen, given, cwd, place = run(code, tmp_path, place="p7", TOKEN="t")
    assert seen == "BATON_CURSOR,PATH,TOKEN"
    assert given == "input:"
    assert cwd == str(tmp_path)
    assert place == "p7"


def test_the_environment_is_the_usual_and_what_the_entry_names() -> None:
    given = {
        "PATH": "/bin",
        "HOME": "/h",
        "LC_ALL": "C",
        "TOKEN": "t",
        "REDIS_URL": "r",
        "PM2_HOME": "p",
    }
    assert environment(given, ["TOKEN"]) == {
        "PATH": "/bin",
        "HOME": "/h",
        "LC_ALL": "C",
        "TOKEN": "t",
    }
