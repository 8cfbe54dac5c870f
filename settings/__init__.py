"""baton.yaml and `.env` as frozen settings; the only reader of the environment.

What each setting is called and defaults to is in types.py; how a section is checked, in
sections.py and entries.py. A leaf: it imports nothing else of Baton.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from settings import alerts as settings_alerts
from settings import entries as settings_entries
from settings import environment as settings_environment
from settings import hosts as settings_hosts
from settings import oddities as settings_oddities
from settings import redis as settings_redis
from settings.credentials import credential
from settings.document import Document, SettingsError, read_document
from settings.entries import Entry, value_of
from settings.environment import Surroundings
from settings.redis import RedisSettings
from settings.sections import overlay, resolve_options, unknown_key
from settings.types import (
    CLI_OPTIONS,
    SCHEDULE_POLICY,
    Alerts,
    ClaudeOptions,
    ConsumerGroup,
    Feed,
    Http,
    Poller,
    Schedule,
    Watcher,
    Webhook,
)
from settings.values import (
    AtLeastOne,
    Duration,
    Instance,
    Room,
    Size,
    Span,
    Usd,
    parse_duration,
    parse_size,
)
from settings.values import convert as checked

__all__ = [
    "CLI_OPTIONS",
    "ROOT",
    "SCHEDULE_POLICY",
    "Alerts",
    "ClaudeOptions",
    "ConsumerGroup",
    "Duration",
    "Feed",
    "Http",
    "Poller",
    "RedisSettings",
    "Schedule",
    "Settings",
    "SettingsError",
    "Size",
    "Watcher",
    "Webhook",
    "assembled",
    "checked",
    "credential",
    "ensure_config",
    "load",
    "make_run_dir",
    "overlay",
    "parse_duration",
    "parse_size",
    "resolve_options",
]  # fmt: skip

ROOT = Path(__file__).resolve().parent.parent
#: How long a finished task, its result and its attempts' folders are kept, and how long a key is known.
KEEP_FINISHED, KEYS_KEPT = Duration(30 * 86_400), Duration(90 * 86_400)
#: How much the folders of all attempts may take before the oldest finished tasks' go.
ATTEMPTS_MAX_SIZE = Size(5 * 10**9)
#: What a process of Baton may take before PM2 restarts it; idle ones take 30 to 60 MB.
MAX_MEMORY = Size(10**9)
_MISSING = "Run ./baton up once, or copy baton.example.yaml to it."
_SECTIONS = [
    "instance", "host", "redis", "redis_unsafe", "consumers", "claude", "budget_usd_per_day", "budget_tokens_per_day",
    "timezone", "keep_finished", "keys_kept", "attempts_max_size", "max_memory", "watchers", "pollers", "schedules",
    "tasks", "workspaces", "alerts", "ping_url",
]  # fmt: skip


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is configured, checked, with absolute paths.

    `base` is the folder of the yaml, which relative paths start from; `run_dir` holds unix sockets
    (make_run_dir makes it), `workspaces` the folders of tasks that have one of their own. `environ` has
    what Baton and its attempts may see, `.env` under the process's own; `dotenv` names what `.env` sets.
    `host` is what this machine's own queue is called after.
    `warnings` are for people to read. `mistake` is why baton.yaml or `.env` cannot be used, where these are
    settings that the last `up` accepted (accepted.py); else nothing.
    """

    root: Path
    config: Path
    base: Path
    var: Path
    run_dir: Path
    workspaces: Path
    redis: RedisSettings
    instance: str = "baton"
    host: str = "localhost"
    consumers: tuple[ConsumerGroup, ...] = (ConsumerGroup(("default",), 2),)
    claude: ClaudeOptions = ClaudeOptions()
    claude_command: str | None = None
    budget_usd_per_day: float | None = None
    budget_tokens_per_day: int | None = None
    timezone: str | None = None
    keep_finished: Duration = KEEP_FINISHED
    keys_kept: Duration = KEYS_KEPT
    attempts_max_size: Size = ATTEMPTS_MAX_SIZE
    max_memory: Size = MAX_MEMORY
    watchers: dict[str, Watcher] = {}
    pollers: dict[str, Poller] = {}
    schedules: dict[str, Schedule] = {}
    tasks: tuple[str, ...] = ()
    alerts: Alerts | None = None
    ping_url: str | None = None
    environ: dict[str, str] = {}
    dotenv: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()
    mistake: str = ""

    def __repr__(self) -> str:  # the fields hold secrets, and a repr ends up in logs
        return f"Settings(config={str(self.config)!r}, instance={self.instance!r})"

    def describe(self, role: str, name: str = "") -> dict[str, Any]:
        """What the app `role name` depends on, JSON-able and without secrets.

        Two that differ mean that the app must be restarted. Raises KeyError for an app that the
        settings do not have.
        """
        about = {"redis": _plain(self.redis) | {"url": settings_redis.masked(self.redis.url)}}
        about["redis"]["secret"] = _digest(self.redis.url)
        about |= {} if role == "redis" else {"max_memory": self.max_memory}
        about |= _ROLES[role](self, name)
        return about

    def check_options(self, options: Mapping[str, object]) -> None:
        """Raise ValueError for options of a task that Claude tasks do not have, or that no day has room for."""
        chosen = overlay(self.claude, options)
        problem = settings_entries.more_than_a_day(chosen.max_budget_usd, self.budget_usd_per_day)
        if problem:
            raise ValueError(f"max_budget_usd: {problem}")

    def group_of(self, number: int) -> ConsumerGroup:
        """The group of consumer `number`, counted from 1 through all groups. Raises KeyError."""
        before = 0
        for group in self.consumers:
            before += group.count
            if 1 <= number <= before:
                return group
        raise KeyError(number)


def load(config: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of `config` (else BATON_CONFIG, else baton.yaml) and the `.env` beside it.

    Reads files only; makes nothing. Raises SettingsError for the first thing that is wrong.
    """
    process = os.environ if environ is None else environ
    file = settings_environment.config_file(config, process, ROOT)
    document = read_document(file, _MISSING)
    around = Surroundings(process, settings_environment.read_dotenv(file.parent / ".env"))
    for key in document.values:
        if key not in _SECTIONS:
            raise unknown_key(document, (key,), _SECTIONS)
    return assembled(document, around)


def ensure_config(
    config: Path | None = None, environ: Mapping[str, str] | None = None
) -> tuple[Path, bool]:
    """The yaml that load() reads, copied from baton.example.yaml when the usual one is missing.

    True with it when it was made now. Raises SettingsError when a yaml that was asked for by name
    is missing: that is a slip, not a first start.
    """
    process = os.environ if environ is None else environ
    file = settings_environment.config_file(config, process, ROOT)
    if file.exists():
        return file, False
    if file != ROOT / "baton.yaml":
        raise SettingsError(file, None, "there is no such file", _MISSING)
    return file, _copy_once(ROOT / "baton.example.yaml", file)


def make_run_dir(settings: Settings) -> Path:
    """Makes the folder for unix sockets, private to this user. Raises SettingsError."""
    return settings_environment.make_private(settings.run_dir)


def assembled(document: Document, around: Surroundings) -> Settings:
    """The settings that a document and the environment come to. Raises SettingsError."""
    base = document.file.parent
    var = settings_environment.var_folder(around, base, ROOT)
    run_dir = settings_environment.run_folder(var)
    claude, command = settings_entries.read_claude(document)
    host = settings_hosts.read_host(document, var)
    consumers = settings_entries.read_consumers(document, host)
    watchers = settings_entries.read_watchers(document, host)
    pollers = settings_entries.read_pollers(document)
    schedules = settings_entries.read_schedules(document)
    entries: list[Entry] = [*watchers.values(), *pollers.values(), *schedules.values()]
    alerts = settings_alerts.read_alerts(document)
    ping_url = settings_alerts.read_ping_url(document)
    named = settings_entries.named_variables(claude, entries)
    named |= settings_alerts.variables(alerts, ping_url, schedules.values())
    instance = value_of(document, "instance", Instance, "baton")
    daily_usd = value_of(document, "budget_usd_per_day", Usd, None)
    settings_entries.refuse_more_than_a_day(document, claude, entries, daily_usd)
    return Settings(
        root=ROOT,
        config=document.file,
        base=base,
        var=var,
        run_dir=run_dir,
        workspaces=settings_entries.read_workspaces(
            document, var, settings_environment.workspaces_folder(around, var, instance)
        ),
        instance=instance,
        host=host,
        redis=settings_redis.read_redis(document, around, run_dir),
        consumers=consumers,
        claude=claude,
        claude_command=command,
        budget_usd_per_day=daily_usd,
        budget_tokens_per_day=value_of(document, "budget_tokens_per_day", AtLeastOne, None),
        timezone=settings_entries.read_timezone(document),
        keep_finished=value_of(document, "keep_finished", Span, KEEP_FINISHED),
        keys_kept=value_of(document, "keys_kept", Span, KEYS_KEPT),
        attempts_max_size=value_of(document, "attempts_max_size", Room, ATTEMPTS_MAX_SIZE),
        max_memory=value_of(document, "max_memory", Room, MAX_MEMORY),
        watchers=watchers,
        pollers=pollers,
        schedules=schedules,
        tasks=settings_entries.read_tasks(document),
        alerts=alerts,
        ping_url=ping_url,
        environ=around.kept(named),
        dotenv=frozenset(around.dotenv.values),
        warnings=(
            *settings_environment.warnings(around, named),
            *settings_redis.warnings(document),
            *settings_oddities.warnings(document, claude, host, consumers, entries, daily_usd),
        ),
    )


def _copy_once(source: Path, target: Path) -> bool:
    text = source.read_bytes()
    try:
        with target.open("xb") as copy:  # another `up` at the same moment makes it once too
            copy.write(text)
    except FileExistsError:
        return False
    return True


def _consumer(settings: Settings, name: str) -> dict[str, Any]:
    secrets = {key: settings.environ.get(key) for key in sorted(settings.dotenv)}
    return {
        "claude": _plain(settings.claude),
        "claude_command": settings.claude_command,
        "queues": list(settings.group_of(int(name)).queues),
        "tasks": list(settings.tasks),
        "budgets": [settings.budget_usd_per_day, settings.budget_tokens_per_day],
        "timezone": settings.timezone,
        "workspaces": str(settings.workspaces),
        "kept": [settings.keep_finished, settings.keys_kept, settings.attempts_max_size],
        "dotenv": _digest(secrets),
    }


def _poller(settings: Settings, name: str) -> dict[str, Any]:
    poller = settings.pollers[name]
    named = settings_entries.named_variables(ClaudeOptions(), [poller])
    secrets = {key: settings.environ.get(key) for key in sorted(named)}
    return {"poller": _plain(poller), "dotenv": _digest(secrets)}


def _scheduler(settings: Settings, name: str) -> dict[str, Any]:
    return {
        "schedules": _plain(settings.schedules),
        "tasks": list(settings.tasks),
        "timezone": settings.timezone,
    }


def _alerts(settings: Settings, name: str) -> dict[str, Any]:
    """Nearly everything: it looks after all of it, and its own restart costs nothing."""
    addresses = [settings.alerts, settings.ping_url, settings.schedules]
    secrets = {key: settings.environ.get(key) for key in sorted(settings.dotenv)}
    return {
        "alerts": _digest(_plain([*addresses, secrets])),
        "apps": [_plain(settings.consumers), list(settings.watchers), list(settings.pollers)],
        "folders": [[str(w.path), str(w.done), str(w.failed)] for w in settings.watchers.values()],
        "budgets": [settings.budget_usd_per_day, settings.budget_tokens_per_day],
        "workspaces": str(settings.workspaces),
    }


_ROLES: dict[str, Callable[[Settings, str], dict[str, Any]]] = {
    "redis": lambda settings, name: {},
    "watch": lambda settings, name: {"watcher": _plain(settings.watchers[name])},
    "poll": _poller,
    "scheduler": _scheduler,
    "consumer": _consumer,
    "alerts": _alerts,
}


def _plain(value: object) -> Any:
    def hook(item: object) -> float | str:
        return float(item) if isinstance(item, Duration) else str(item)

    return msgspec.json.decode(msgspec.json.encode(value, enc_hook=hook))


def _digest(value: object) -> str:
    import hashlib  # `up` alone pays for it

    return hashlib.sha256(msgspec.json.encode(value)).hexdigest()[:16]
