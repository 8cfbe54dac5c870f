"""The real Claude Code CLI against the stand-in, and the stand-in's own manners as a process."""

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.claude_cli import ClaudeProcess, Run, find_claude, run_claude, start_claude
from tests.acceptance.standin_process import ROOT, StandInProcess, standin

WITH_BASH = ("--allowedTools", "Bash")


@pytest.fixture(scope="module")
def api() -> Iterator[StandInProcess]:
    with standin() as running:
        yield running


@pytest.fixture
def started(api: StandInProcess, tmp_path: Path) -> Iterator[Callable[..., ClaudeProcess]]:
    """Starts `claude -p`; nothing of it is left after the test."""
    running: list[ClaudeProcess] = []

    def start(prompt: str, *args: str) -> ClaudeProcess:
        running.append(start_claude(find_claude(), prompt, api.port, tmp_path, args=args))
        return running[-1]

    yield start
    for process in running:
        process.end()


def directive(**keys: object) -> str:
    """A prompt that no other test sends: obstacles with `times` are counted by prompt."""
    return f"Test {uuid.uuid4()}.\nSTANDIN: {json.dumps(keys)}\n"


def bash(command: str) -> dict[str, object]:
    return {"tool": "Bash", "input": {"command": command, "description": "Test"}}


def asked(api: StandInProcess, prompt: str) -> list[dict[str, Any]]:
    """The logged requests of this prompt's directive."""
    return [
        entry for entry in api.requests() if entry["directive"] and entry["directive"] in prompt
    ]


def retried_twice(run: Run) -> bool:
    return len(run.of("system", "api_retry")) >= 2


def test_a_text_arrives_with_a_believable_cost(api: StandInProcess, tmp_path: Path) -> None:
    run = run_claude(find_claude(), directive(text="Forty-two."), api.port, tmp_path)

    assert run.exit_code == 0
    assert (run.result["subtype"], run.result["is_error"]) == ("success", False)
    assert run.result["result"] == "Forty-two."
    assert 0.001 < run.result["total_cost_usd"] < 1


def test_a_prompt_without_directive_gets_a_labelled_answer(
    api: StandInProcess, tmp_path: Path
) -> None:
    run = run_claude(find_claude(), "Say hello.", api.port, tmp_path)

    assert run.result["result"].endswith("(stand-in answer)")


def test_a_bash_call_runs_and_its_result_comes_back(api: StandInProcess, tmp_path: Path) -> None:
    prompt = directive(steps=[{"text": "I look."}, bash("echo $((6*7))")], text="Done.")

    run = run_claude(find_claude(), prompt, api.port, tmp_path, args=WITH_BASH)

    assert run.exit_code == 0
    assert run.tool_results() == ["42"]
    assert (run.result["result"], run.result["num_turns"]) == ("Done.", 2)
    assert [entry["turn"] for entry in asked(api, prompt)] == [0, 1]


def test_a_file_is_read_and_summarised(api: StandInProcess, tmp_path: Path) -> None:
    file = tmp_path / "work" / "a letter and more.txt"
    file.parent.mkdir()
    file.write_text("Dear all,\n\nthe heating is back.\n")
    prompt = f"Read the file {file} and summarise it for a busy reader."

    run = run_claude(find_claude(), prompt, api.port, tmp_path, args=("--allowedTools", "Read"))

    assert re.search(r"[34] lines\. It starts: Dear all, \(stand-in answer\)", run.result["result"])


def test_a_denied_tool_is_listed(api: StandInProcess, tmp_path: Path) -> None:
    prompt = directive(steps=[bash("touch made")], text="I was not allowed to.")

    run = run_claude(find_claude(), prompt, api.port, tmp_path)

    assert run.exit_code == 0
    assert [denial["tool_name"] for denial in run.result["permission_denials"]] == ["Bash"]
    assert not (tmp_path / "work" / "made").exists()


def test_400_ends_the_run_at_once(api: StandInProcess, tmp_path: Path) -> None:
    prompt = directive(error=400, message="nothing to say")

    run = run_claude(find_claude(), prompt, api.port, tmp_path)

    assert run.exit_code == 1
    assert (run.result["is_error"], run.result["api_error_status"]) == (True, 400)
    assert "nothing to say" in run.result["result"]
    assert not run.of("system", "api_retry")
    assert {entry["status"] for entry in asked(api, prompt)} == {400}


def test_a_wrong_directive_is_told_in_the_result(api: StandInProcess, tmp_path: Path) -> None:
    run = run_claude(find_claude(), directive(nonsense=1), api.port, tmp_path)

    assert "stand-in: unknown key nonsense" in run.result["result"]


def test_an_unknown_model_is_refused(api: StandInProcess, tmp_path: Path) -> None:
    run = run_claude(find_claude(), "Hello.", api.port, tmp_path, args=("--model", "clod-1"))

    assert (run.exit_code, run.result["api_error_status"]) == (1, 404)


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, "authentication_failed"), (429, "rate_limit"), (500, "server_error")],
)
def test_an_error_that_may_pass_is_retried_and_announced(
    api: StandInProcess, tmp_path: Path, status: int, error: str
) -> None:
    prompt = directive(error=status)

    run = run_claude(find_claude(), prompt, api.port, tmp_path, until=retried_twice)

    assert not run.of("result")
    assert {(retry["error_status"], retry["error"]) for retry in run.of("system", "api_retry")} == {
        (status, error)
    }
    assert {entry["auth"] for entry in asked(api, prompt)} == {"api_key"}


def test_429_that_says_not_to_retry_ends_the_run(api: StandInProcess, tmp_path: Path) -> None:
    prompt = directive(error=429, headers={"x-should-retry": "false"})

    run = run_claude(find_claude(), prompt, api.port, tmp_path)

    assert (run.exit_code, run.result["api_error_status"]) == (1, 429)


def test_529_ends_after_three_tries(api: StandInProcess, tmp_path: Path) -> None:
    prompt = directive(error=529)

    run = run_claude(find_claude(), prompt, api.port, tmp_path)

    assert (run.exit_code, run.result["is_error"]) == (1, True)
    assert "529" in run.result["result"]
    assert [entry["status"] for entry in asked(api, prompt)] == [529, 529, 529]


def test_an_error_with_times_passes(api: StandInProcess, tmp_path: Path) -> None:
    prompt = directive(error=529, times=1, text="Better now.")

    run = run_claude(find_claude(), prompt, api.port, tmp_path)

    assert run.result["result"] == "Better now."
    assert [entry["status"] for entry in asked(api, prompt)] == [529, 200]


@pytest.mark.parametrize("claim", ["five_hour", "seven_day"])
def test_a_spent_subscription_is_rejected_with_its_reset_time(
    api: StandInProcess, tmp_path: Path, claim: str
) -> None:
    prompt = directive(rate_limit="rejected", reset_in_s=3600, claim=claim)

    run = run_claude(find_claude(), prompt, api.port, tmp_path, auth="oauth")

    limit = run.of("rate_limit_event")[-1]["rate_limit_info"]
    assert (limit["status"], limit["rateLimitType"]) == ("rejected", claim)
    assert 3500 < limit["resetsAt"] - time.time() < 3700
    assert (run.result["is_error"], run.result["api_error_status"]) == (True, 429)
    assert {entry["auth"] for entry in asked(api, prompt)} == {"oauth"}


@pytest.mark.parametrize("status", ["allowed", "allowed_warning"])
def test_a_subscription_with_room_left_is_told_so(
    api: StandInProcess, tmp_path: Path, status: str
) -> None:
    prompt = directive(rate_limit=status, text="Fine.")

    run = run_claude(find_claude(), prompt, api.port, tmp_path, auth="oauth")

    assert run.result["result"] == "Fine."
    assert run.of("rate_limit_event")[-1]["rate_limit_info"]["status"] == status


def test_without_a_credential_nothing_is_asked(api: StandInProcess, tmp_path: Path) -> None:
    prompt = directive(text="Never.")

    run = run_claude(find_claude(), prompt, api.port, tmp_path, auth="none")

    assert run.exit_code == 1
    assert "/login" in run.result["result"]
    assert asked(api, prompt) == []


def test_a_cut_connection_is_an_error(api: StandInProcess, tmp_path: Path) -> None:
    def noticed(run: Run) -> bool:
        # Retried, or given up, by whether the CLI had read any text before.
        return bool(run.of("system", "api_retry") or run.of("result"))

    run = run_claude(find_claude(), directive(cut=True), api.port, tmp_path, until=noticed)

    assert noticed(run)
    assert all(result["is_error"] for result in run.of("result"))


@pytest.mark.parametrize("where", ["before", "mid"])
def test_a_hanging_api_holds_the_run_until_it_is_stopped(
    api: StandInProcess, started: Callable[..., ClaudeProcess], where: str
) -> None:
    prompt = directive(hang=where)
    claude = started(prompt)

    claude.follow(until=lambda run: bool(asked(api, prompt)))
    with pytest.raises(TimeoutError):
        claude.follow(limit_s=1)
    assert len(asked(api, prompt)) == 1
    claude.process.send_signal(signal.SIGINT)

    assert claude.follow(limit_s=10).exit_code in (0, 1)


def test_a_dripping_answer_takes_its_time(api: StandInProcess, tmp_path: Path) -> None:
    begun = time.monotonic()

    run = run_claude(find_claude(), directive(text="a b c d", drip_s=0.4), api.port, tmp_path)

    assert run.result["result"] == "a b c d"
    assert time.monotonic() - begun > 4 * 0.4


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_session_resumes_with_the_turn_in_flight(
    started: Callable[..., ClaudeProcess], tmp_path: Path, stop: signal.Signals
) -> None:
    log, second = tmp_path / "log", tmp_path / "second"
    wait_once = f"[ -e {second} ] || {{ touch {second}; sleep 20; }}; echo two >> {log}"
    prompt = directive(steps=[bash(f"echo one >> {log}"), bash(wait_once)], text="Both done.")
    session = str(uuid.uuid4())

    first = started(prompt, *WITH_BASH, "--session-id", session)
    first.follow(until=lambda run: second.exists() and "standin0001" in _transcript(tmp_path))
    first.process.send_signal(stop)
    first.follow(limit_s=10)
    first.end()
    run = started("Continue.", *WITH_BASH, "--resume", session).follow()

    assert run.result["result"] == "Both done."
    assert log.read_text().split() == ["one", "two"]


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_says_nothing_and_leaves_when_told(tmp_path: Path, stop: signal.Signals) -> None:
    process, port = _announced(tmp_path)
    client = _hanging_client(port)

    output = _stopped(process, stop)
    client.close()

    assert (process.returncode, output) == (0, b"")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc to see the connections end")
def test_clients_that_leave_do_no_harm_and_leave_no_trace(tmp_path: Path) -> None:
    process, port = _announced(tmp_path)
    descriptors = Path(f"/proc/{process.pid}/fd")
    idle = len(list(descriptors.iterdir()))

    clients = [_hanging_client(port) for _ in range(20)]
    _wait_until(lambda: (tmp_path / "log").read_text().count("\n") == 20)
    for client in clients:
        client.close()
    _wait_until(lambda: len(list(descriptors.iterdir())) == idle)
    output = _stopped(process, signal.SIGTERM)

    assert (process.returncode, output) == (0, b"")


def test_a_port_in_use_is_said_in_one_line(api: StandInProcess) -> None:
    process = _launch("--port", str(api.port))
    output, _ = process.communicate(timeout=5)

    assert process.returncode == 1
    assert output.count(b"\n") == 1
    assert f"127.0.0.1:{api.port}: Address already in use".encode() in output


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("HEAD", "/", "", 200),
        ("GET", "/api/oauth/profile", "", 404),
        ("POST", "/api/event_logging/batch", "{}", 200),
        ("POST", "/v1/messages/count_tokens?beta=true", '{"messages": []}', 200),
        ("POST", "/v1/messages", "no json", 400),
        ("POST", "/v1/messages", "[]", 400),
        ("POST", "/v1/messages", '{"model": "claude-x", "max_tokens": 1, "messages": []}', 200),
        ("POST", "/v1/messages", '{"model": "claude-x", "tools": [{}], "messages": []}', 200),
    ],
)
def test_side_requests_are_answered(
    api: StandInProcess, method: str, path: str, body: str, status: int
) -> None:
    assert _ask(api, method, path, body)[0] == status


def test_a_request_without_a_key_is_refused(api: StandInProcess) -> None:
    body = '{"model": "claude-x", "max_tokens": 1, "messages": []}'

    status, answer = _ask(api, "POST", "/v1/messages", body, headers={})

    assert (status, answer["error"]["type"]) == (401, "authentication_error")


def test_the_log_never_holds_the_key(api: StandInProcess) -> None:
    _ask(api, "POST", "/v1/messages", "{}", headers={"x-api-key": "sk-very-secret"})

    assert "very-secret" not in api.log.read_text()
    assert api.requests()[-1]["auth"] == "api_key"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc to see who listens where")
def test_it_listens_on_loopback_only(api: StandInProcess) -> None:
    port = f":{api.port:04X}"
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    sockets = [line.split() for table in tables for line in table.read_text().splitlines()]
    listening = [fields[1] for fields in sockets if fields[3] == "0A"]

    assert [address for address in listening if address.endswith(port)] == [f"0100007F{port}"]


def _transcript(folder: Path) -> str:
    """What the CLI has saved of its session; it does so a moment after the event."""
    files = (folder / "home" / ".claude" / "projects").glob("*/*.jsonl")
    return "".join(file.read_text(encoding="utf-8") for file in files)


def _launch(*args: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "demo.standin", *args],
        env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def _announced(folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """A stand-in of the test's own, and its port."""
    file = folder / "announce.json"
    (folder / "log").touch()
    process = _launch("--port", "0", "--announce", str(file), "--log", str(folder / "log"))
    _wait_until(file.exists)
    told = json.loads(file.read_text())
    assert told["pid"] == process.pid
    return process, told["port"]


def _stopped(process: subprocess.Popen[bytes], stop: signal.Signals) -> bytes:
    """Stop it and give all that it has printed."""
    process.send_signal(stop)
    try:
        return process.communicate(timeout=2)[0]
    finally:
        process.kill()


def _wait_until(condition: Callable[[], bool], limit_s: float = 5.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit_s} s"
        time.sleep(0.005)


def _hanging_client(port: int) -> socket.socket:
    """A client in mid-answer: the stand-in hangs before the first byte."""
    content = directive(hang="before")
    messages = [{"role": "user", "content": content}]
    body = json.dumps({"model": "claude-x", "tools": [{}], "messages": messages})
    head = f"POST /v1/messages HTTP/1.1\r\nHost: x\r\nx-api-key: x\r\nContent-Length: {len(body)}"
    client = socket.create_connection(("127.0.0.1", port), timeout=5)
    client.sendall(f"{head}\r\n\r\n{body}".encode())
    return client


def _ask(
    api: StandInProcess,
    method: str,
    path: str,
    body: str = "",
    headers: dict[str, str] | None = None,
) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=5)
    try:
        key = {"x-api-key": "made-up"} if headers is None else headers
        connection.request(method, path, body.encode(), key)
        response = connection.getresponse()
        content = response.read()
        return response.status, json.loads(content) if content else None
    finally:
        connection.close()
