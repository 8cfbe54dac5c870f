"""What the stand-in understands of a prompt, and which turn it plays next."""

import json
from typing import Any

import pytest

from demo import conversation, quota, reply, script
from demo.conversation import next_turn, path_to_read
from demo.script import Cut, DirectiveError, Fail, Hang, Limits, Obstacle, Say, Script, Use, Wait
from demo.server import planned, side_turn

BASH = {"tool": "Bash", "input": {"command": "ls"}}
BASH_STEP = Use("Bash", {"command": "ls"})


def nowhere(path: str) -> bool:
    return False


def body(prompt: str, *results: tuple[int, str]) -> dict[str, Any]:
    """A request as the CLI sends it, after the tool calls of the turns in `results`."""
    reminder = {"type": "text", "text": "<system-reminder>\nSTANDIN: {}\n</system-reminder>"}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": [reminder, {"type": "text", "text": prompt}]},
        {"role": "system", "content": "Available agents: none"},
    ]
    for number, text in results:
        call = conversation.tool_id(number)
        used = {"type": "tool_use", "id": call, "name": "Bash", "input": {}}
        given = {"type": "tool_result", "tool_use_id": call, "content": text}
        messages += [
            {"role": "assistant", "content": [used]},
            {"role": "user", "content": [given]},
        ]
    return {"model": "claude-test", "tools": [{}], "max_tokens": 64000, "messages": messages}


def directive(keys: dict[str, object], before: str = "", after: str = "") -> str:
    return f"{before}STANDIN: {json.dumps(keys)}{after}"


@pytest.mark.parametrize(
    ("keys", "steps"),
    [
        ({}, ()),
        ({"text": "hi"}, (Say("hi"),)),
        ({"steps": [BASH, {"text": "done"}]}, (BASH_STEP, Say("done"))),
        (
            {"steps": [{"tools": [BASH, BASH]}], "text": "done"},
            (Use("Bash", {"command": "ls"}, last=False), BASH_STEP, Say("done")),
        ),
        ({"steps": [{"sleep": 2}], "text": "late"}, (Wait(2.0), Say("late"))),
        ({"steps": [{"error": 401}]}, (Fail(401, "invalid x-api-key"),)),
        ({"steps": [{"hang": "mid", "times": 2}]}, (Hang("mid", 2),)),
        ({"steps": [{"cut": True}]}, (Cut(),)),
    ],
)
def test_steps_are_read(keys: dict[str, object], steps: tuple[script.Step, ...]) -> None:
    assert script.parse(json.dumps(keys)).steps == steps


@pytest.mark.parametrize(
    ("keys", "obstacle"),
    [
        ({"text": "hi"}, None),
        ({"error": 529}, Fail(529, "Overloaded")),
        (
            {"error": 429, "message": "slow", "headers": {"retry-after": 7}, "times": 1},
            Fail(429, "slow", {"retry-after": "7"}, 1),
        ),
        ({"hang": "before"}, Hang("before")),
        ({"hang": True}, Hang("before")),
        ({"cut": True, "times": 1}, Cut(1)),
        ({"rate_limit": "rejected"}, Fail(429, script.ERRORS[429][1])),
        ({"rate_limit": "allowed"}, None),
        ({"rate_limit": "rejected", "error": 403}, Fail(403, script.ERRORS[403][1])),
    ],
)
def test_what_meets_every_request_is_read(
    keys: dict[str, object], obstacle: Obstacle | None
) -> None:
    assert script.parse(json.dumps(keys)).obstacle == obstacle


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"nonsense": 1}, "unknown key nonsense; allowed:"),
        ({"times": 2}, "unknown key times"),
        ({"error": 418}, "error is one of 400, 401"),
        ({"error": True}, "error is one of"),
        ({"hang": "later"}, "hang is before or mid"),
        ({"cut": False}, "cut is true"),
        ({"error": 500, "hang": "mid"}, "only one of error, hang, cut"),
        ({"error": 500, "times": 0}, "times is a whole number"),
        ({"error": 500, "headers": "x"}, "headers is an object"),
        ({"error": 500, "message": 5}, "message is a text"),
        ({"steps": "Bash"}, "steps is a list"),
        ({"steps": ["Bash"]}, "steps[0] is no object"),
        ({"steps": [BASH, {"tool": "Bash"}]}, "steps[1] is none of"),
        ({"steps": [{"text": 5}]}, "steps[0].text is a text"),
        ({"steps": [{"sleep": -1}]}, "steps[0].sleep is a number, 0 or more"),
        ({"drip_s": "slow"}, "drip_s is a number"),
        ({"drip_s": True}, "drip_s is a number"),
        ({"rate_limit": "no"}, "rate_limit is one of allowed, allowed_warning, rejected"),
        ({"rate_limit": "allowed", "claim": "monthly"}, "claim is one of five_hour, seven_day"),
    ],
)
def test_a_wrong_directive_says_what_is_allowed(keys: dict[str, object], said: str) -> None:
    with pytest.raises(DirectiveError) as raised:
        script.parse(json.dumps(keys))
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Say hello.", None),
        ("The word STANDIN: alone is none", None),
        ('STANDIN: {"text": "a"}', '{"text": "a"}'),
        ('First line.\nSTANDIN: {"text": "a } b"}\nLast line.', '{"text": "a } b"}'),
        ('In a line STANDIN:{"steps": [{}]} goes on', '{"steps": [{}]}'),
    ],
)
def test_a_directive_is_found_anywhere_in_the_prompt(text: str, found: str | None) -> None:
    assert script.find(text) == found


def test_a_directive_that_is_no_json_is_refused() -> None:
    with pytest.raises(DirectiveError, match="no JSON"):
        script.find("STANDIN: {text: 1}")


def test_limits_are_told_as_the_api_tells_them() -> None:
    limits = Limits("rejected", reset_in_s=600, claim="seven_day", utilization=1.0)

    told = limits.headers(now_s=1000.5)

    prefix = "anthropic-ratelimit-unified"
    assert told[f"{prefix}-status"] == "rejected"
    assert told[f"{prefix}-reset"] == "1600"
    assert told[f"{prefix}-representative-claim"] == "seven_day"
    assert told[f"{prefix}-7d-status"] == "rejected"
    assert told[f"{prefix}-7d-utilization"] == "1.0"
    assert told[f"{prefix}-5h-status"] == "allowed"


def test_an_answer_that_is_given_is_never_told_as_rejected() -> None:
    play = script.parse('{"rate_limit": "rejected", "error": 429, "times": 1}')

    refused, given = play.limits_told(refusing=True), play.limits_told(refusing=False)

    assert refused is not None
    assert refused.status == "rejected"
    assert given is not None
    assert (given.status, given.utilization) == ("allowed", 0.2)


def test_each_tool_call_ends_a_turn() -> None:
    play = Script((Say("a"), BASH_STEP, Wait(1.0), BASH_STEP, Say("b")))

    assert play.turns() == [(Say("a"), BASH_STEP), (Wait(1.0), BASH_STEP), (Say("b"),)]


@pytest.mark.parametrize(
    ("results", "number", "steps"),
    [
        ([], 0, (BASH_STEP,)),
        ([(0, "files")], 1, (BASH_STEP,)),
        ([(0, "files"), (1, "files")], 2, (Say("done"),)),
        ([(0, "files"), (1, "[Request interrupted by user for tool use]")], 1, (BASH_STEP,)),
        ([(0, "The user doesn't want to proceed with this tool use. The")], 0, (BASH_STEP,)),
        ([(0, "[Tool call interrupted: the session ended before")], 0, (BASH_STEP,)),
        ([(0, "Permission to use Bash has been denied")], 1, (BASH_STEP,)),
    ],
)
def test_the_next_turn_follows_from_the_messages_alone(
    results: list[tuple[int, str]], number: int, steps: tuple[script.Step, ...]
) -> None:
    prompt = directive({"steps": [BASH, BASH], "text": "done"})

    turn = next_turn(body(prompt, *results), nowhere)

    assert (turn.number, turn.steps) == (number, steps)


def test_a_session_resumed_with_another_prompt_goes_on_where_it_was() -> None:
    request = body(directive({"steps": [BASH, BASH], "text": "done"}), (0, "files"))
    request["messages"] += [
        {"role": "assistant", "content": [{"type": "text", "text": "No response requested."}]},
        {"role": "user", "content": "Continue."},
    ]

    assert next_turn(request, nowhere).number == 1


def test_a_prompt_that_is_one_string_is_read() -> None:
    request = {"messages": [{"role": "user", "content": directive({"text": "hi"})}]}

    assert next_turn(request, nowhere).steps == (Say("hi"),)


def test_a_plain_prompt_gets_a_labelled_answer() -> None:
    turn = next_turn(body("Say hello,\nplease."), nowhere)

    assert turn.steps == (
        Say("I received a prompt of 3 words that starts: Say hello, please. (stand-in answer)"),
    )


@pytest.mark.parametrize(
    ("prompt", "existing", "path"),
    [
        ("Read the file /in/a.txt", [], "/in/a.txt"),
        ("Please read the file /in/a.txt and summarise it.", [], "/in/a.txt"),
        ("Read the file /in/a b.txt and summarise it.", ["/in/a b.txt"], "/in/a b.txt"),
        ('Read the file "/in/a b.txt" and summarise it.', [], "/in/a b.txt"),
        ("Read the file '/in/a b.txt', then stop.", [], "/in/a b.txt"),
        ("Read the file /in/a and b.txt and summarise it.", ["/in/a and b.txt"], "/in/a and b.txt"),
        ("Read the file /in/a.txt.\nBe brief.", ["/in/a.txt"], "/in/a.txt"),
        ("Read the file /in/a\nb.txt and stop.", ["/in/a\nb.txt"], "/in/a\nb.txt"),
        ("Read the file /in/it's.txt and stop.", ["/in/it's.txt"], "/in/it's.txt"),
        ("Read the file ", [], None),
        ("Read the room.", [], None),
    ],
)
def test_the_path_to_read_is_found(prompt: str, existing: list[str], path: str | None) -> None:
    assert path_to_read(prompt, existing.__contains__) == path


def test_a_file_is_read_first_and_then_summarised() -> None:
    prompt = "Read the file /in/a.txt and summarise it."

    first = next_turn(body(prompt), nowhere)
    second = next_turn(body(prompt, (0, "     1→Dear all,\n     2→\n     3→Bye")), nowhere)

    assert first.steps == (Use("Read", {"file_path": "/in/a.txt"}),)
    assert second.steps == (Say("The file has 3 lines. It starts: Dear all, (stand-in answer)"),)


def test_a_directive_in_the_file_takes_over_after_the_read() -> None:
    prompt = "Read the file /in/a.txt and summarise it."
    read = (0, "1\t" + directive({"steps": [BASH], "text": "done"}))

    assert next_turn(body(prompt, read), nowhere).steps == (BASH_STEP,)
    assert next_turn(body(prompt, read, (1, "files")), nowhere).steps == (Say("done"),)


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ("1\tonly", "The file has 1 line. It starts: only"),
        ("File does not exist.", "could not be summarised; the Read tool said: File does not"),
    ],
)
def test_a_summary_says_what_was_read(result: str, said: str) -> None:
    assert said in conversation.summary(result)


def turn_of(keys: dict[str, object]) -> conversation.Turn:
    return next_turn(body(directive(keys)), nowhere)


def always(obstacle: Obstacle, prompt: str, position: int) -> bool:
    return True


def never(obstacle: Obstacle, prompt: str, position: int) -> bool:
    return False


@pytest.mark.parametrize(
    ("keys", "plan"),
    [
        ({"error": 400, "text": "never"}, Fail(400, script.ERRORS[400][1])),
        ({"hang": "before"}, Hang("before")),
        ({"steps": [{"sleep": 1}, {"error": 500}]}, Fail(500, "Internal server error")),
    ],
)
def test_an_obstacle_before_the_stream_is_the_whole_answer(
    keys: dict[str, object], plan: Fail | Hang
) -> None:
    assert planned(turn_of(keys), "", always) == plan


@pytest.mark.parametrize("keys", [{"hang": "mid"}, {"cut": True}])
def test_an_obstacle_in_mid_stream_comes_after_some_text(keys: dict[str, object]) -> None:
    plan = planned(turn_of(keys), "", always)

    assert isinstance(plan, conversation.Turn)
    assert isinstance(plan.steps[0], Say)
    assert isinstance(plan.steps[-1], Hang | Cut)


def test_an_obstacle_that_is_over_leaves_the_answer() -> None:
    keys: dict[str, object] = {"error": 529, "times": 1, "steps": [{"cut": True}], "text": "hi"}

    plan = planned(turn_of(keys), "", never)

    assert isinstance(plan, conversation.Turn)
    assert plan.steps == (Say("hi"),)


def test_a_stream_is_in_the_order_that_the_cli_wants() -> None:
    turn = turn_of({"steps": [{"text": "two words"}, BASH]})

    kinds = [
        action["type"]
        for action in reply.stream(turn, "claude-test", 400)
        if isinstance(action, dict)
    ]

    block = ["content_block_start", "content_block_delta", "content_block_stop"]
    assert kinds == [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        *block[1:],
        *block,
        "message_delta",
        "message_stop",
    ]


def test_the_pieces_of_a_stream_make_the_whole_message() -> None:
    turn = turn_of({"steps": [{"text": " two\n words "}, BASH]})

    deltas = [
        action["delta"]
        for action in reply.stream(turn, "claude-test", 400)
        if isinstance(action, dict) and action["type"] == "content_block_delta"
    ]
    whole = reply.whole(turn, "claude-test", 400)

    assert "".join(delta.get("text", "") for delta in deltas) == whole["content"][0]["text"]
    assert json.loads(deltas[-1]["partial_json"]) == whole["content"][1]["input"]
    assert whole["stop_reason"] == "tool_use"


def test_a_dripping_stream_waits_before_each_piece() -> None:
    turn = turn_of({"text": "one two three", "drip_s": 0.5})

    actions = list(reply.stream(turn, "claude-test", 400))

    assert actions.count(Wait(0.5)) == 3


def test_the_clis_own_small_questions_get_a_small_answer() -> None:
    quota = {"max_tokens": 1, "messages": [{"role": "user", "content": "quota"}]}

    assert side_turn(quota) is not None
    assert side_turn(body("Say hello.")) is None


def test_a_quota_refuses_everybody_until_its_reset_and_nobody_after_it() -> None:
    limit = quota.parse("2:10")
    assert [limit.refusal(100.5) for _ in range(2)] == [None, None]
    refusals = [limit.refusal(now_s) for now_s in (101.2, 111.9)]
    for refusal in refusals:
        assert refusal is not None
        assert refusal.status == 429
        assert refusal.headers["anthropic-ratelimit-unified-reset"] == "112"
        assert refusal.headers["anthropic-ratelimit-unified-status"] == "rejected"
    assert limit.refusal(112.0) is None
