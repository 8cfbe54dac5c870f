"""What an attempt took, from its stream: recordings of both CLIs with and without their result, sessions, prices."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from consumers import bill, pricing
from consumers.stream import Event, Summary, fold, frame
from consumers.usage import BYTES_PER_TOKEN, Call
from durable.costs import Cost, total_usd, written

STREAMS = Path(__file__).parent.parent / "data" / "streams"


def recorded(name: str) -> Summary:
    summary = Summary()
    for event in frame((STREAMS / f"{name}.jsonl").read_bytes())[0]:
        summary = fold(summary, event)
    return summary


def without_result(summary: Summary) -> Summary:
    return msgspec.structs.replace(summary, result=None)


def answer(name: str, model: str = "claude-opus-5-5", text: str = "", **usage: Any) -> Event:
    content = [{"type": "text", "text": text}]
    message = {"id": name, "model": model, "content": content, "usage": usage}
    return {"type": "assistant", "message": message}


def folded(*events: Event) -> Summary:
    summary = Summary()
    for event in events:
        summary = fold(summary, event)
    return summary


def used(usd: float, tokens_in: int, tokens_out: int) -> dict[str, Any]:
    """An entry of modelUsage."""
    return {"inputTokens": 4, "cacheReadInputTokens": tokens_in, "outputTokens": tokens_out,
            "cacheCreationInputTokens": 0, "costUSD": usd}  # fmt: skip


def result(usage: dict[str, Any], **more: Any) -> Event:
    total = sum(row["costUSD"] for row in usage.values())
    return {"type": "result", "modelUsage": usage, "total_cost_usd": total, **more}


# -- with a result


@pytest.mark.parametrize("folder", ["", "2.1.330/"])
def test_a_result_is_believed_to_the_cent(folder: str) -> None:
    summary = recorded(folder + "success")
    rows = bill.of(summary)
    assert rows is not None
    assert total_usd(rows) == pytest.approx(summary.cost_usd)
    assert [row.model for row in rows] == [str(summary.model).partition("[")[0]]


def test_a_result_that_names_no_model_is_booked_for_the_session_s() -> None:
    init = {"type": "system", "subtype": "init", "model": "claude-x"}
    summary = folded(init, {"type": "result", "total_cost_usd": 0.5})
    assert bill.of(summary) == [Cost(model="claude-x", usd=0.5)]


def test_a_result_that_cost_nothing_is_no_row() -> None:
    assert bill.of(recorded("not_logged_in")) == []


@pytest.mark.parametrize(
    "garbage", [None, [], {"m": 3}, {"m": {"costUSD": "x", "inputTokens": -1}}]
)
def test_garbage_in_a_result_costs_nothing(garbage: Any) -> None:
    assert bill.of(folded({"type": "result", "modelUsage": garbage})) == []


# -- a session that goes on


def test_what_the_session_had_cost_before_is_not_booked_again() -> None:
    """As 2.1.330 has it: the total is the session's."""
    before = folded(result({"claude-opus-5-5": used(0.0678, 25_000, 40)}))
    now = folded(
        answer("m1", input_tokens=4, cache_read_input_tokens=12_574, output_tokens=1),
        result({"claude-opus-5-5": used(0.0704, 25_000 + 12_574, 46) | {"inputTokens": 8}}),
    )
    [row] = bill.of(now, before) or []
    assert row.usd == pytest.approx(0.0026)
    assert (row.input, row.cache_read, row.output) == (4, 12_574, 6)


def test_a_process_that_counts_for_itself_is_booked_whole() -> None:
    """As 2.1.197 has it, and 2.1.330 after a SIGKILL: even where it took more than the one before."""
    before = folded(result({"claude-opus-5-5": used(0.01, 5_000, 40)}))
    now = folded(
        answer("m1", input_tokens=4, cache_read_input_tokens=6_000, output_tokens=1),
        result({"claude-opus-5-5": used(0.0704, 6_000, 46)}),
    )
    [row] = bill.of(now, before) or []
    assert (row.usd, row.cache_read) == (0.0704, 6_000)


# -- without one


@pytest.mark.parametrize("folder", ["", "2.1.330/"])
def test_a_killed_run_is_priced_from_the_calls_that_were_seen(folder: str) -> None:
    """What went in is exact; what came out is a guess from its size, and rather too high."""
    whole = recorded(folder + "bash_success")
    [said], [guess] = bill.of(whole) or [], bill.of(without_result(whole)) or []
    assert (guess.input, guess.cache_write, guess.cache_read) == (
        said.input,
        said.cache_write,
        said.cache_read,
    )
    assert said.output <= guess.output < 3 * said.output
    assert guess.usd == pytest.approx(said.usd, rel=0.05)


def test_the_blocks_of_one_message_are_one_call() -> None:
    summary = folded(
        answer("m1", text="a" * 30, input_tokens=1000, output_tokens=1),
        answer("m2", model="claude-haiku-4-5", input_tokens=500, output_tokens=9),
        answer("m1", text="b" * 30, input_tokens=1000, output_tokens=2),
    )
    opus, haiku = bill.of(summary) or []
    assert (opus.model, opus.input, opus.output) == ("claude-opus-5-5", 1000, 60 // BYTES_PER_TOKEN)
    assert (haiku.model, haiku.output) == ("claude-haiku-4-5", 9)
    assert total_usd([opus, haiku]) == pytest.approx((4_000 + 20 * 20 + 500 + 9 * 5) / 1e6)


def test_a_run_without_an_answer_cost_nothing() -> None:
    assert bill.of(recorded("api_401_retry")) == []
    assert bill.of(Summary()) == []


def test_an_error_of_the_cli_s_own_is_no_call() -> None:
    assert recorded("api_400").calls == {}


def test_a_model_without_a_price_is_said_so() -> None:
    assert bill.of(folded(answer("m", model="some-other-9", input_tokens=1))) is None


def test_an_hour_s_cache_is_dearer() -> None:
    lives = {"ephemeral_1h_input_tokens": 1000, "ephemeral_5m_input_tokens": 500}
    summary = folded(answer("m", cache_creation_input_tokens=1500, cache_creation=lives))
    [row] = bill.of(summary) or []
    assert row.cache_write == 1500
    assert row.usd == pytest.approx((1000 * 8 + 500 * 5) / 1e6)


@pytest.mark.parametrize("usage", [None, 3, {"input_tokens": "x"}, {"input_tokens": True}])
def test_garbage_in_a_message_costs_nothing(usage: Any) -> None:
    event = {"type": "assistant", "message": {"id": "m", "model": "claude-opus-5", "usage": usage}}
    assert total_usd(bill.of(folded(event)) or []) == 0


# -- prices


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("claude-opus-5-5", ("opus", "5.5")),
        ("claude-opus-4-8[1m]", ("opus", "4.8")),
        ("claude-sonnet-4-20250514", ("sonnet", "4")),
        ("claude-opus-4-0", ("opus", "4")),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", ("sonnet", "4.5")),
        ("claude-haiku-4-5@20251001", ("haiku", "4.5")),
        ("claude-3-5-haiku-20241022", ("haiku", "3.5")),
        ("claude-3-opus-20240229", ("opus", "3")),
        ("Claude-Fable-5-1", ("fable", "5.1")),
        ("gpt-5", None),
        ("", None),
    ],
)
def test_a_model_is_known_by_its_family_and_version(
    name: str, model: tuple[str, str] | None
) -> None:
    assert pricing.version_of(name) == model
    assert (pricing.price(Call(model=name, input=1)) is None) == (model is None)


def test_a_version_that_the_list_does_not_have_has_no_price() -> None:
    assert pricing.price(Call(model="claude-opus-9", input=1)) is None


@pytest.mark.parametrize(
    ("prompt", "usd"), [(100_000, 100_000 * 0.1 + 3 * 0.5), (100_001, 100_001 * 0.5 + 3 * 2.5)]
)
def test_a_long_prompt_is_dearer_where_the_list_says_so(prompt: int, usd: float) -> None:
    call = Call(model="claude-haiku-5-5", input=prompt, output=3)
    assert pricing.price(call) == pytest.approx(usd / 1e6)


def test_the_list_agrees_with_what_the_newer_cli_says_of_its_calls() -> None:
    compared = 0
    for file in sorted((STREAMS / "2.1.330").glob("*.jsonl")):
        for line in file.read_text().splitlines():
            event = json.loads(line) if line.startswith("{") else {}
            for name, row in (event.get("modelUsage") or {}).items():
                call = Call(
                    model=name,
                    input=row["inputTokens"],
                    output=row["outputTokens"],
                    cache_write_5m=row["cacheCreationInputTokens"],
                    cache_read=row["cacheReadInputTokens"],
                )
                assert pricing.price(call) == pytest.approx(row["costUSD"])
                compared += 1
    assert compared


# -- on the way to the server


def test_a_model_s_name_breaks_no_line() -> None:
    text = written([Cost(model="a b\nc|é", usd=1e-7, input=5), Cost(usd=2.0)])
    assert text == "a_b_c__ 0.000000100 5 0 0 0\n 2.000000000 0 0 0 0"
