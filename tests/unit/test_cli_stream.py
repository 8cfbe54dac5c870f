"""The reader of a stream gives each event once, however it is written."""

import json
import random
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli.progress import Progress
from cli.stream import Stream
from cli.transcript import lines

TEXTS = st.sampled_from(
    ["", "text", "tool_use", "tool_result", "init", "a\nb", "\x1b[2J", "\ud800"]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(
    [
        "message",
        "content",
        "subtype",
        "input",
        "text",
        "usage",
        "num_turns",
        "duration_ms",
        "total_cost_usd",
        "result",
        "errors",
        "permission_denials",
        "rate_limit_info",
        "is_error",
        "id",
        "name",
        "type",
        "line",
        "parent_tool_use_id",
    ]
)
TYPES = st.sampled_from(["system", "assistant", "user", "result", "rate_limit_event", "garbled"])


def test_each_event_comes_once_however_its_bytes_arrive(tmp_path: Path) -> None:
    events = [
        {"n": n, "text": "é漢" * (n % 7) + "x" * (3_000_000 if n == 30 else 0)} for n in range(60)
    ]
    whole = b"".join(json.dumps(e, ensure_ascii=False).encode() + b"\n" for e in events)
    chance, found, at = random.Random(4), [], 0
    stream = Stream(tmp_path)
    assert list(stream.news()) == []
    with (tmp_path / "stream.jsonl").open("ab", buffering=0) as file:
        while at < len(whole):
            size = chance.choice([1, 3, 50, 400_000])
            at += file.write(whole[at : at + size])
            found += list(stream.news())
    assert found == events
    assert (stream.events, stream.cut_off_bytes) == (60, 0)


def test_what_is_no_event_is_garbled_and_the_rest_waits(tmp_path: Path) -> None:
    (tmp_path / "stream.jsonl").write_bytes(
        b'no json \xff\n\n[1]\n{"a": 1}\n' + b"[" * 50_000 + b"\n{"
    )
    stream = Stream(tmp_path)
    first, second, third, fourth = stream.news()
    assert first == {"type": "garbled", "line": "no json �"}
    assert (second["type"], third, fourth["type"]) == ("garbled", {"a": 1}, "garbled")
    assert stream.cut_off_bytes == 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(KEYS, ANYTHING | st.lists(st.dictionaries(KEYS, ANYTHING))), TYPES)
def test_no_event_whatever_it_holds_is_an_error(event: dict[str, object], kind: str) -> None:
    progress = Progress()
    for nested in (event, {"message": event}, {"message": {"content": [event]}}):
        list(lines({**nested, "type": kind}))
        progress.news({**nested, "type": kind})
        progress.take({**nested, "type": kind})


def test_progress_counts_a_message_once_and_speaks_after_each_turn() -> None:
    def said(name: str, read: int) -> dict[str, object]:
        usage = {"input_tokens": 4, "cache_read_input_tokens": read, "output_tokens": 1}
        return {"type": "assistant", "message": {"id": name, "model": "m", "usage": usage}}

    progress, told = Progress(), []
    answer: dict[str, object] = {"type": "user"}
    for event in (
        answer,
        said("a", 996),
        said("a", 996),
        answer,
        answer,
        said("b", 19_000),
        answer,
    ):
        told.append(progress.news(event))
        progress.take(event)
    assert [words for words in told if words] == [
        "so far: 1 turn, 1.0k tokens read",
        "so far: 2 turns, 20.0k tokens read",
    ]
