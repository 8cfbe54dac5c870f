"""What is said to a person about an outcome: one sentence on what happened, one on what to do."""

from __future__ import annotations

import json
from signal import Signals
from typing import Any

from consumers.allowing import ANY_COMMAND
from consumers.allowing import rules as allow_rules
from consumers.ending import Exit, Outcome
from consumers.stream import Summary

LONGEST_QUOTE = 300
"""Characters of the CLI's or a tool's own words in a message."""

MOST_RULES = 5

_STOPPED = {
    "shutdown": "Baton was stopping",
    "deadline": "no consumer held it any more",
    "lost": "another consumer has the task",
    "gate": "the gate was closed",
}
_LOGIN = (
    "Run `./baton login`, or set ANTHROPIC_API_KEY in .env and name it in `env:` under `claude:`"
    " in baton.yaml and run `./baton up`. One task tries now and then (or at once: `./baton unpause login`)."
)


def message(outcome: Outcome, summary: Summary, ended: Exit) -> str:
    """One plain sentence: what happened."""
    text = _message(outcome, summary, ended)
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def _message(outcome: Outcome, summary: Summary, ended: Exit) -> str:
    said = quote(words(summary, ended))
    match outcome:
        case Outcome.SUCCEEDED:
            return "Claude finished."
        case Outcome.DENIED:
            return f"Claude was not allowed to use {_listed(summary.denials)}."
        case Outcome.CANCELLED:
            return "It was cancelled while it ran."
        case Outcome.INTERRUPTED:
            why = _STOPPED.get(ended.stopped or "", ended.stopped)
            return f"The run was stopped because {why}."
        case Outcome.TIMED_OUT if ended.tool:
            return f"The run was stopped because its tool {quote(ended.tool)} was at work for `max_tool_runtime`."
        case Outcome.TIMED_OUT:
            return "The run was stopped at its `max_runtime`."
        case Outcome.SILENT:
            return "The run was stopped because no event came for `max_silence`, and no tool was at work."
        case Outcome.MAX_TURNS | Outcome.MAX_BUDGET:
            return f"The run ended at its `{_limit(outcome)}`: {said}"
        case Outcome.UNVERIFIED:
            return f"The answer does not fit `json_schema`: {said}"
        case Outcome.CRASHED:
            return f"{_how_it_ended(summary, ended)}{said and f': {said}'}"
        case Outcome.AUTH | Outcome.BILLING | Outcome.USAGE_LIMIT | Outcome.OVERLOADED:
            return f"{_WHAT[outcome]}: {said}" if said else f"{_WHAT[outcome]}."
        case Outcome.REJECTED:
            said = said.removeprefix("Error: ").removeprefix("error: ")
            return f"Claude could not do it as asked: {said}"


def remedy(outcome: Outcome, summary: Summary, ended: Exit) -> str:
    """What to do about it; empty where Baton does all that can be done."""
    if ended.spawn_error is not None and outcome is Outcome.REJECTED:
        return "Check `cwd` of the task and `claude.command` in baton.yaml."
    match outcome:
        case Outcome.DENIED:
            return _allow(allowing(summary))
        case Outcome.AUTH if summary.api_key_source not in (None, "none"):
            return (
                f"The credential in use is {summary.api_key_source}: replace it (in .env, say), or take it out of"
                " `env:` to use a login, and run `./baton up`. One task tries now and then"
                " (or at once: `./baton unpause login`)."
            )
        case Outcome.AUTH:
            return _LOGIN
        case Outcome.BILLING:
            return (
                "Add credit or raise the spending limit of the account; one task tries now and then"
                " (or at once: `./baton unpause billing`)."
            )
        case Outcome.USAGE_LIMIT:
            return "Nothing to do: Baton goes on when the limit resets (or at once: `./baton unpause usage limit`)."
        case Outcome.MAX_TURNS | Outcome.MAX_BUDGET:
            return f"Raise `{_limit(outcome)}`, then `./baton retry ID --resume`."
        case Outcome.TIMED_OUT if ended.tool:
            return "Raise `max_tool_runtime` if such a call needs longer."
        case Outcome.TIMED_OUT:
            return "Raise `max_runtime` if the task needs longer."
        case Outcome.SILENT:
            return "Raise `max_silence` if the task has longer quiet steps."
        case Outcome.REJECTED:
            return "Change the prompt or the options of the task, then submit it again."
        case _:
            return ""


def allowing(summary: Summary) -> list[str]:
    """The `allowed_tools` rules that would have let the denied calls through, at most five."""
    rules = dict.fromkeys(rule for denial in summary.denials for rule in allow_rules(denial))
    if ANY_COMMAND in rules:  # the others of this tool add nothing
        rules = dict.fromkeys(rule for rule in rules if not rule.startswith(f"{ANY_COMMAND}("))
    return list(rules)[:MOST_RULES]


def _allow(rules: list[str]) -> str:
    lines = ", ".join(json.dumps(rule, ensure_ascii=False) for rule in rules)
    all_of_it = (
        f' A narrower line may not do here; "{ANY_COMMAND}" allows every command, but for what'
        " Claude Code holds too dangerous for any rule."
        if ANY_COMMAND in rules
        else ""
    )
    return f"Add to `allowed_tools`: {lines}.{all_of_it} Or set `on_denied: accept`."


def words(summary: Summary, ended: Exit) -> str:
    """The CLI's own words about what went wrong, from wherever it put them."""
    parts = [ended.spawn_error or "", summary.complaint, summary.garbled, ended.stderr_tail]
    return next((part.strip() for part in parts if part.strip()), "")


def quote(text: str) -> str:
    """Foreign words on one line, cut to a readable length, without control characters."""
    line = "".join(c if c.isprintable() else " " for c in " ".join(text.split()))
    return line if len(line) <= LONGEST_QUOTE else line[: LONGEST_QUOTE - 1] + "…"


_WHAT = {
    Outcome.AUTH: "Claude is not logged in, or its credential is refused",
    Outcome.BILLING: "The account has no credit left",
    Outcome.USAGE_LIMIT: "The usage limit is reached",
    Outcome.OVERLOADED: "The API or the network did not answer",
}


def _limit(outcome: Outcome) -> str:
    return "max_turns" if outcome is Outcome.MAX_TURNS else "max_budget_usd"


def _how_it_ended(summary: Summary, ended: Exit) -> str:
    if ended.spawn_error is not None:
        return "Claude could not be started"
    if ended.lost_runner:
        return "The runner was killed, and claude with it"
    if ended.signal is not None:
        hint = (
            " (the kernel does that when memory runs out)"
            if ended.signal == Signals.SIGKILL
            else ""
        )
        return f"Claude was ended by {signal_name(ended.signal)}{hint}"
    without = "with an error" if summary.result else "without a result"
    return f"Claude ended {without} (exit status {ended.exit_code})"


def signal_name(number: int) -> str:
    """The name of a signal, as kill(1) has it."""
    try:
        return Signals(number).name
    except ValueError:  # a realtime signal
        return f"signal {number}"


def _listed(denials: list[dict[str, Any]]) -> str:
    names = dict.fromkeys(_call(denial) for denial in denials)
    more = f" and {len(names) - MOST_RULES} more" if len(names) > MOST_RULES else ""
    return ", ".join(list(names)[:MOST_RULES]) + more


def _call(denial: dict[str, Any]) -> str:
    given = denial.get("tool_input")
    values = list(given.values()) if isinstance(given, dict) else []
    return f"{denial.get('tool_name')} ({quote(str(values[0]))[:80]})" if values else _name(denial)


def _name(denial: dict[str, Any]) -> str:
    return str(denial.get("tool_name"))
