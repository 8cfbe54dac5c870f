"""The frozen types that the rest of Baton sees: what each setting is called, holds and defaults to.

No reading here: settings.py and entries.py fill these from baton.yaml.
"""

from pathlib import Path
from typing import Any, Literal, get_args

from msgspec import Struct

from settings.values import (
    AtLeastOne,
    Command,
    Count,
    Cron,
    Duration,
    Json,
    Pause,
    Percent,
    Period,
    Priority,
    Processes,
    Queue,
    Room,
    Size,
    Span,
    Text,
    Texts,
    Tools,
    Usd,
    Variable,
    Variables,
    Words,
)

# What writers leave while they write, and what file managers leave for themselves.
IGNORED = (
    ".*", "*~", "~$*", "*.part", "*.partial", "*.crdownload", "*.download", "*.tmp", "*.swp",
    "Thumbs.db", "desktop.ini",
)  # fmt: skip


class ClaudeOptions(Struct, frozen=True, kw_only=True):
    """How claude is run. Names are those of `claude --help` in snake case.

    None or empty means: not passed. `("",)` is passed as an empty word: for `tools` it means no
    tool at all, for `setting_sources` no source. Paths are absolute once the settings are loaded.
    """

    model: Text | None = None
    fallback_model: Text | None = None
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    # Nobody is there to answer a prompt: what is not allowed is denied at once.
    permission_mode: Literal[
        "acceptEdits", "auto", "bypassPermissions", "default", "dontAsk", "plan"
    ] = "dontAsk"
    allowed_tools: Texts = ()
    disallowed_tools: Texts = ()
    tools: Tools = ()
    system_prompt: Text | None = None
    system_prompt_file: Text | None = None
    append_system_prompt: Text | None = None
    append_system_prompt_file: Text | None = None
    max_turns: AtLeastOne | None = None
    max_budget_usd: Usd | None = None
    mcp_config: Texts = ()
    # Only the servers named here; those of the user's own sessions stay out of a task.
    strict_mcp_config: bool = True
    # A folder's own settings are code (hooks): `project` is added where the folder is trusted.
    setting_sources: tuple[Literal["user", "project", "local", ""], ...] = ("user",)
    settings: Text | None = None
    add_dir: Texts = ()
    agents: Json | None = None
    agent: Text | None = None
    json_schema: Json | None = None
    betas: Texts = ()
    plugin_dir: Texts = ()
    plugin_url: Texts = ()
    file: Texts = ()
    bare: bool = False
    safe_mode: bool = False
    disable_slash_commands: bool = False
    exclude_dynamic_system_prompt_sections: bool = False

    # Baton's own, never passed as a flag: OURS names them.
    cwd: Text | None = None
    env: Variables = ()
    max_runtime: Span = Duration(3600)
    max_silence: Span = Duration(600)
    max_tool_runtime: Span = Duration(1800)
    retries: Count = 3
    on_crash: Literal["resume", "rerun", "hold"] = "resume"
    on_denied: Literal["fail", "accept"] = "fail"
    result: Text | None = None
    verify: Command = ()
    verify_timeout: Span = Duration(300)
    workspace: Literal["none", "fresh", "worktree"] = "none"
    keep_workspace: Literal["work", "failed", "always", "never"] = "work"


OURS = frozenset(
    (
        *("cwd", "env", "max_runtime", "max_silence", "max_tool_runtime"),
        *("retries", "on_crash", "on_denied", "result"),
        *("verify", "verify_timeout", "workspace", "keep_workspace"),
    )
)
COMMANDS = ("verify",)
"""Options that are a command: one text is a line of words, in which commas are nothing special."""
CLI_OPTIONS = tuple(name for name in ClaudeOptions.__struct_fields__ if name not in OURS)


class ConsumerGroup(Struct, frozen=True):
    """`count` consumer processes that take from these queues; priority and age decide, not the order here."""

    queues: tuple[Queue, ...] = ("default",)
    count: Processes = 1


class Watcher(Struct, frozen=True, kw_only=True):
    """One watched folder; each file dropped there becomes a task. Exactly one of prompt and task.

    `done` is where a file goes when its task has succeeded: a folder, `delete` it, or `leave` it.
    """

    name: str
    path: Path
    done: Path | Literal["delete", "leave"] | None = None
    failed: Path
    prompt: Text | None = None
    task: Text | None = None
    result: Text | None = None
    settle: Pause = Duration(2)
    recursive: bool = False
    # Tasks change their file themselves: a file that has changed under its task is not run again.
    edits: bool = False
    include: Texts = ()
    ignore: Texts = IGNORED
    # A file of the same content as an earlier one is no new task where this is `content`.
    dedupe: Literal["none", "content"] = "none"
    # Every machine that may get its tasks sees this folder under the same path.
    shared: bool = False
    priority: Priority = 0
    # Unless baton.yaml names one: `default` when shared, else the queue of this machine.
    queue: Queue = "default"
    lock: Text | None = None
    options: dict[str, Any] = {}


class Http(Struct, frozen=True, kw_only=True):
    """An address that answers JSON. `${NAME}` in a header or in the query is a variable of .env.

    `items` and `id` are JMESPath: to the list in the answer, and to the id in an item. `next` leads to the next
    page: `link` (the Link header), or a JMESPath to its address, or to a cursor for the parameter `next_query`.
    """

    url: Text
    method: Literal["GET", "POST"] = "GET"
    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    json: Json | None = None
    bearer: Variable | None = None
    basic: tuple[Variable, Variable] | None = None
    items: Text = "@"
    id: Text = "id"
    next: Text | None = None
    next_query: Text | None = None


class Feed(Struct, frozen=True, kw_only=True):
    """The address of an RSS or Atom feed. `${NAME}` in a header or in the query is a variable of .env."""

    url: Text
    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    bearer: Variable | None = None
    basic: tuple[Variable, Variable] | None = None


class Poller(Struct, frozen=True, kw_only=True):
    """One polled source whose new items become tasks. Exactly one of command, http and feed, of prompt and task."""

    name: str
    every: Period
    command: Words | None = None
    http: Http | None = None
    feed: Feed | None = None
    timeout: Span = Duration(60)
    prompt: Text | None = None
    task: Text | None = None
    first: Literal["baseline", "all"] | Count = "all"
    priority: Priority = 0
    queue: Queue = "default"
    lock: Text | None = None
    options: dict[str, Any] = {}


class Schedule(Struct, frozen=True, kw_only=True):
    """One schedule whose ticks become tasks. Exactly one of prompt and task, and one of cron and every."""

    name: str
    cron: Cron | None = None
    every: Period | None = None
    timezone: Text | None = None
    prompt: Text | None = None
    task: Text | None = None
    catch_up: Literal["latest", "all", "none"] = "latest"
    # Ticks that are older than this when a scheduler is back do not run any more.
    catch_up_window: Span = Duration(86_400)
    # A tick that comes while the task of the one before is not done.
    overlap: Literal["skip", "queue", "allow"] = "skip"
    # Fires up to so much after its time, by an amount of its own that stays the same.
    jitter: Pause = Duration(0)
    # Healthchecks' protocol: told of each start and end of a tick's task. `${NAME}` is a variable of .env.
    ping_url: Text | None = None
    result: Text | None = None
    priority: Priority = 0
    queue: Queue = "default"
    lock: Text | None = None
    options: dict[str, Any] = {}


class Webhook(Struct, frozen=True, kw_only=True):
    """An address that takes alerts as JSON by POST. `${NAME}` in it or in a header is a variable of .env."""

    url: Text
    headers: dict[str, str] = {}


AlertKind = Literal[
    "failed", "held", "gate", "budget", "schedule", "source", "process", "queue", "disk", "redis"
]


class Alerts(Struct, frozen=True, kw_only=True):
    """Who is told when something needs a person, and of what. Exactly one of webhook and command."""

    webhook: Webhook | None = None
    command: Words | None = None  # gets the JSON on standard input
    env: Variables = ()  # what the command sees beside the usual
    on: tuple[AlertKind, ...] = get_args(AlertKind)
    timeout: Span = Duration(10)
    # A watched folder has been in trouble, and a tick has been due, for so long before anybody is told.
    after: Pause = Duration(300)
    # Tasks wait for so long and nobody takes them.
    waiting: Span = Duration(900)
    disk_free: Room = Size(10**9)
    budget_percent: Percent = 80


#: What of its late and overlapping ticks: fields of a schedule that a periodic task of Huey's may have too.
SCHEDULE_POLICY = {
    name: Schedule.__annotations__[name] for name in ("catch_up", "catch_up_window", "overlap")
}
