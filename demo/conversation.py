"""What a Messages API request says: its prompt, how far its script has come, what to answer next.

Pure and stateless: the tool calls of the stand-in carry their turn's number in their id, so the
messages alone tell which turn comes next, also in a session that was killed and resumed.
"""

import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from demo import script
from demo.script import Say, Script, Step, Use

LABEL = "(stand-in answer)"
TOOL_ID = re.compile(r"toolu_standin(\d{4})")
READ = re.compile(r"Read the file\s+", re.IGNORECASE)
QUOTED = re.compile(r"""(["'`])(.+?)\1""", re.DOTALL)
# Where an unquoted path may end: before any white space, with or without a sentence's sign.
PATH_END = re.compile(r"[,;.:!?]?(?=\s|$)")
# How the CLIs word the result of a tool call that was broken off: that turn is to be repeated.
INTERRUPTED = ("[Request interrupted by user", "[Tool call ", "The user doesn't want to ")
LONGEST_PATH = 4096

Message = Mapping[str, object]


@dataclass(frozen=True)
class Turn:
    """The answer to one request: the steps of turn `number` of `script`."""

    script: Script
    number: int
    steps: tuple[Step, ...]
    directive: str | None


def next_turn(body: Mapping[str, object], exists: Callable[[str], bool]) -> Turn:
    """Decide the answer to a request; `exists` tells which candidate of a path is a file.

    Raises DirectiveError for a directive that cannot be obeyed.
    """
    text = prompt(body)
    done = turns_done(body)
    source = script.find(text)
    if source is not None:
        return _at(script.parse(source), done, source)
    path = path_to_read(text, exists)
    if path is None:
        return _at(Script((Say(plain_answer(text)),)), {}, None)
    if not done:
        return _at(Script((Use("Read", {"file_path": path}),)), {}, None)
    return _after_reading(done)


def prompt(body: Mapping[str, object]) -> str:
    """Give the text of the first user prompt, without the reminders that the CLI puts before it."""
    for message in _messages(body, "user"):
        own = [text for text in _texts(message) if not text.startswith("<system-reminder>")]
        if own:
            return "\n".join(own)
    return ""


def turns_done(body: Mapping[str, object]) -> dict[int, str]:
    """Map each turn whose tool call has a result to the result's text."""
    done: dict[int, str] = {}
    for message in _messages(body, "user"):
        for block in _blocks(message, "tool_result"):
            own = TOOL_ID.match(str(block.get("tool_use_id")))
            text = "\n".join(_texts(block))
            if own and not text.startswith(INTERRUPTED):
                done[int(own[1])] = text
    return done


def tool_id(number: int) -> str:
    """Make the id of the tool call that ends turn `number`."""
    return f"toolu_standin{number:04}{secrets.token_hex(6)}"


def path_to_read(text: str, exists: Callable[[str], bool]) -> str | None:
    """Find the path after "Read the file", quoted or not, with spaces or not; None without one.

    Of the places where an unquoted path may end, the longest that exists wins, else the first.
    """
    found = READ.search(text)
    if found is None:
        return None
    rest = text[found.end() : found.end() + LONGEST_PATH]
    quoted = QUOTED.match(rest)
    if quoted:
        return quoted[2]
    ends = [rest[: end.start()] for end in PATH_END.finditer(rest) if end.start()]
    return next((path for path in reversed(ends) if exists(path)), ends[0] if ends else None)


def plain_answer(text: str) -> str:
    """Answer a prompt that asks for nothing the stand-in knows."""
    start = " ".join(text.split())[:80]
    return f"I received a prompt of {len(text.split())} words that starts: {start} {LABEL}"


def summary(result: str) -> str:
    """Summarise what the Read tool gave: its lines are numbered."""
    lines = re.findall(r"^ *\d+(?:\t|→)(.*)$", result, re.MULTILINE)
    if not lines:
        return f"The file could not be summarised; the Read tool said: {result[:200]} {LABEL}"
    count = f"{len(lines)} line{'' if len(lines) == 1 else 's'}"
    return f"The file has {count}. It starts: {lines[0].strip()[:120]} {LABEL}"


def _at(play: Script, done: Mapping[int, str], directive: str | None, shift: int = 0) -> Turn:
    turns = play.turns()
    number = max(done, default=shift - 1) + 1
    steps = turns[min(number - shift, len(turns) - 1)]
    return Turn(play, number, steps, directive)


def _after_reading(done: Mapping[int, str]) -> Turn:
    """Go on after the file was read: a directive in the file takes over, else a summary."""
    result = done[min(done)]
    source = script.find(result)
    play = Script((Say(summary(result)),)) if source is None else script.parse(source)
    return _at(play, done, source, shift=1)


def _messages(body: Mapping[str, object], role: str) -> Iterator[Message]:
    messages = body.get("messages")
    for message in messages if isinstance(messages, list) else []:
        if isinstance(message, dict) and message.get("role") == role:
            yield message


def _blocks(message: Message, kind: str) -> Iterator[Message]:
    content = message.get("content")
    for block in content if isinstance(content, list) else []:
        if isinstance(block, dict) and block.get("type") == kind:
            yield block


def _texts(message: Message) -> list[str]:
    content = message.get("content")
    if isinstance(content, str):
        return [content]
    return [str(block.get("text", "")) for block in _blocks(message, "text")]
