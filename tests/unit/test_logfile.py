"""An app's log: one JSON object a line, whatever it says; rotated by size; and a full disk ends no app."""

import json
import logging
import os
import threading
from pathlib import Path

import pytest

from cli import applogs
from cli.applogs import Reader, Source, last_complaint, merged, parse, rendered, since, sizes, tail
from durable.logfile import LogFile, beside, rotate, shorten


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "baton-x.log"


def logger(path: Path, most: int = 10_000, kept: int = 3) -> logging.Logger:
    own = logging.Logger("test")
    own.addHandler(LogFile(path, path.stem, most, kept))
    return own


def lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_is_one_object_whatever_it_says(path: Path) -> None:
    log = logger(path)
    log.info("task %s: %s", "t1", "two\nlines \x1b[2J \u2028 é \udcff")
    log.warning("%d", "no number")
    try:
        raise ValueError("a\nb")
    except ValueError:
        log.exception("it broke")
    first, second, third = lines(path)
    assert first["task"] == "t1"
    assert (first["level"], first["app"], first["logger"]) == ("INFO", "baton-x", "test")
    assert "task" not in second
    assert "'%d'" in second["message"]
    assert third["traceback"].endswith("ValueError: a\nb")
    assert path.stat().st_mode & 0o077 == 0
    text = [rendered(parse(line, "")) for line in path.read_bytes().splitlines()]
    assert "two\\nlines \\x1b[2J \\u2028 é" in text[0]
    assert text[2].splitlines()[-1] == "  b"


def test_a_log_is_rotated_by_size_and_so_many_are_kept(path: Path) -> None:
    log = logger(path, most=1000, kept=2)
    for number in range(60):
        log.info("line %d", number)
    files = [path, Path(f"{path}.1"), Path(f"{path}.2")]
    log.info("line 60")
    assert sorted(path.parent.iterdir()) == sorted(files)
    assert all(file.stat().st_size < 1300 for file in files)
    said = [entry["message"] for file in reversed(files) for entry in lines(file)]
    assert said == [f"line {number}" for number in range(61)][-len(said) :]
    assert len(said) > 15


def test_two_copies_of_an_app_and_their_threads_share_a_log_and_lose_no_line(path: Path) -> None:
    """The second copy waits for the first to go, and says so into the same file."""
    copies = [logger(path, most=5_000, kept=100) for _ in range(2)]

    def work(number: int) -> None:
        for turn in range(100):
            copies[number % 2].info("%d-%d", number, turn)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    said = [entry["message"] for file in path.parent.iterdir() for entry in lines(file)]
    assert sorted(said) == sorted(f"{n}-{turn}" for n in range(6) for turn in range(100))
    assert len(list(path.parent.iterdir())) > 5


def test_a_copy_writes_into_the_file_that_another_copy_has_begun(path: Path) -> None:
    one, other = logger(path), logger(path)
    one.info("before")
    other.info("before")
    path.rename(f"{path}.1")
    one.info("after")
    other.info("after")
    assert [entry["message"] for entry in lines(path)] == ["after", "after"]


def test_a_full_disk_costs_lines_and_says_how_many(path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to("/dev/full")
    log = logger(path)
    log.info("lost")
    log.info("lost")
    path.unlink()
    log.info("after")
    said = [entry["message"] for entry in lines(path)]
    assert said == ["2 lines before this one could not be written", "after"]


def test_half_a_line_that_a_full_disk_took_spoils_no_other(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, write = logger(path), os.write
    monkeypatch.setattr("os.write", lambda fd, text: write(fd, text[:10]))
    log.info("lost")
    monkeypatch.undo()
    log.info("after")
    said = [parse(line, "")["message"] for line in path.read_bytes().splitlines()]
    assert said == ['{"at": "20', "1 lines before this one could not be written", "after"]


def test_half_a_line_of_a_crash_takes_no_other_with_it(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b'{"at": "2026')
    logger(path).info("after")
    found = tail(Source("baton-x", path))
    assert [entry["message"] for entry in found] == ['{"at": "2026', "after"]


def test_a_log_that_was_moved_or_removed_by_hand_is_begun_anew(path: Path) -> None:
    log = logger(path)
    log.info("one")
    path.rename(f"{path}.old")
    log.info("two")
    path.unlink()
    log.info("three")
    assert [entry["message"] for entry in lines(path)] == ["three"]


def test_what_is_printed_past_a_log_is_bounded_too(path: Path) -> None:
    log = logger(path, most=1000)
    path.parent.mkdir()
    with beside(path).open("ab") as child:
        child.write(b"x" * 1500 + b"\n")
        child.flush()
        log.info("a look")
        child.write(b"goes on\n")
    assert beside(path).read_bytes() == b"goes on\n"
    assert Path(f"{beside(path)}.1").stat().st_size == 1501


def test_nothing_is_rotated_below_its_size_or_where_nothing_is(path: Path) -> None:
    assert not rotate(path, 10)
    path.parent.mkdir()
    assert not rotate(path, 10)
    path.write_bytes(b"x" * 9)
    assert not rotate(path, 10)
    assert not shorten(path, 10)
    path.write_bytes(b"x" * 10)
    assert rotate(path, 10)
    assert not path.exists()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"Traceback (most recent call last):", "Traceback (most recent call last):"),
        (b"\xff\x00[1]", "\ufffd\\x00[1]"),
        (b'["a list"]', '["a list"]'),
        (b'{"at": 1, "message": "x"}', '{"at": 1, "message": "x"}'),
        (b"[" * 100_000, "[" * 100_000),
    ],
)
def test_a_line_that_is_none_of_ours_is_shown_as_it_is(line: bytes, words: str) -> None:
    assert rendered(parse(line, "baton-x")) == f"baton-x: {words}"


def test_a_servers_line_becomes_an_entry_of_its_app() -> None:
    found = parse(b"71:M 23 Nov 2026 07:05:28.123 # WARNING Memory overcommit", "baton-redis")
    assert (found["level"], found["message"]) == ("WARNING", "WARNING Memory overcommit")
    assert rendered(found).startswith("2026-11-23 07:05:28.123 WARNING baton-redis: ")


def test_logs_of_several_files_are_merged_by_their_time(tmp_path: Path) -> None:
    one, two = logger(tmp_path / "one.log"), logger(tmp_path / "two.log")
    for turn in range(3):
        one.info("one %d", turn)
        threading.Event().wait(0.003)
        two.info("two %d", turn)
        threading.Event().wait(0.003)
    (tmp_path / "one.out").write_text("of no time\n")
    found = [tail(Source(name, tmp_path / f"{name}.log")) for name in ("one", "two")]
    assert [entry["message"] for entry in merged(found, 4)] == ["one 1", "two 1", "one 2", "two 2"]


def test_a_reader_misses_nothing_through_a_rotation(path: Path) -> None:
    log = logger(path, most=400, kept=50)
    reader = Reader(Source("baton-x", path))
    seen = []
    for number in range(40):
        log.info("%d", number)
        if number % 2:  # so a file may be put aside between two looks, with a line unread
            seen += [entry["message"] for entry in reader.news()]
    assert seen == [str(number) for number in range(40)]


def test_only_the_lines_since_a_start_are_told(path: Path) -> None:
    log = logger(path)
    log.error("of yesterday")
    before = sizes([path, beside(path)])
    beside(path).write_text("of the interpreter\n")
    log.error("of today")
    assert since(path, before, 5)[-1].endswith("ERROR baton-x: of today")
    assert not any("yesterday" in line for line in since(path, before, 5))


def test_the_last_complaint_is_why_an_app_ended(path: Path) -> None:
    assert last_complaint(path, 0) == ""
    logger(path).error("no room")
    logger(path).info("bye")
    assert last_complaint(path, 0) == "no room"
    late = 10**14
    assert last_complaint(path, late) == ""
    beside(path).write_text("ImportError: nothing_like_that\n")
    path.unlink()
    assert last_complaint(path, 0) == "ImportError: nothing_like_that"


def test_the_files_of_an_app_are_found_by_its_whole_name(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    for name in ("b-redis.log", "b-redis.server.log", "b-redis.out", "b-poll-redis.log", "x.log.1"):
        (tmp_path / "logs" / name).touch()
    assert {s.path.name for s in applogs.sources(tmp_path, "b-redis")} == {
        "b-redis.log", "b-redis.server.log", "b-redis.out",
    }  # fmt: skip
    assert {s.app for s in applogs.sources(tmp_path)} == {"b-redis", "b-poll-redis"}


def test_a_line_that_is_written_is_not_called_lost_because_nothing_can_be_put_aside(
    path: Path,
) -> None:
    (Path(f"{path}.1") / "in the way").mkdir(parents=True)
    log = logger(path, most=500, kept=1)
    for number in range(20):
        log.info("line %d", number)
    assert [entry["message"] for entry in lines(path)] == [f"line {n}" for n in range(20)]


def test_what_cannot_be_said_fails_nobodys_work(path: Path) -> None:
    class Odd:
        def __str__(self) -> str:
            raise RuntimeError("no words")

    log = logger(path)
    log.info("it is %s", Odd())
    log.info("%(name)s", {"other": 1})
    first, second = lines(path)
    assert "'it is %s': RuntimeError('no words')" in first["message"]
    assert "KeyError('name')" in second["message"]
