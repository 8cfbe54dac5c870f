"""The Huey instance and Claude tasks: what a Python shell, a producer and a consumer import.

Nothing here connects, and nothing of an attempt is loaded: a consumer binds the body of `claude`.
"""

from __future__ import annotations

import importlib
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import settings as _settings
from durable.cronspec import CronSpec as cron  # noqa: N813  # users write cron("0 9 * * 1")
from durable.errors import BatonError, UnknownTaskError
from durable.identity import person
from durable.queue import BatonHuey
from durable.records import Submission
from durable.results import BatonResult, TaskFailed

config = _settings.load()
huey = BatonHuey(config.instance, url=config.redis.url)
huey.by = person(config.host)

#: Runs one Claude attempt: (task, prompt, options, context) → result. Bound by the consumer.
Body = Callable[[Any, str, dict[str, Any], dict[str, Any]], dict[str, Any]]


class ClaudeTasks:
    """`claude("…")` enqueues a prompt; `@claude.task` makes a task of a function that returns one."""

    def __init__(self, queue: BatonHuey) -> None:
        self.huey = queue
        self._body: Body | None = None
        kind = {"context": True, "kind": "claude", "paying": _paying_of_prompt}
        self._prompt_task = queue.task(name="claude", **kind)(self._run_prompt)

    def __call__(
        self,
        prompt: str,
        *,
        key: str = "",
        queue: str = "",
        source: str = "",
        lock: str = "",
        **options: Any,
    ) -> BatonResult:
        """Enqueue a prompt and return its result handle.

        `key` makes a second call with the same key answer the first task. Of the tasks with the same `lock`,
        one runs at a time. `priority`, `delay` (s) and `eta` are Huey's; every other option is Claude's, as in
        baton.yaml. Raises ValueError for an unknown one.
        """
        task = self.s(prompt, **options)
        found: BatonResult = self.huey.enqueue(
            task, key=key, queue=queue or None, source=source or None, lock=lock
        )
        return found

    def s(self, prompt: str = "", **options: Any) -> Any:
        """The task, not yet enqueued: for pipelines, groups and chords."""
        own = {
            k: options.pop(k) for k in ("priority", "delay", "eta", "expires", "id") if k in options
        }
        return self._prompt_task.s(prompt, options=_checked(options), **own)

    def task(
        self, name: str | None = None, *, queue: str = "default", lock: str = "", **options: Any
    ) -> Callable[[Callable[..., str]], Any]:
        """Decorate a function that returns a prompt; Claude runs the prompt as an attempt of its own.

        Its tasks go into this queue; of those with the same `lock`, one runs at a time.
        """
        checked = _checked(options)
        kind = {"context": True, "kind": "claude", "queue": queue, "lock": lock}

        def decorate(function: Callable[..., str]) -> Any:
            def body(*args: Any, task: Any, **kwargs: Any) -> dict[str, Any]:
                return self._run(task, function(*args, **kwargs), checked, {})

            body.__module__, body.__name__, body.__doc__ = (
                function.__module__,
                function.__name__,
                function.__doc__,
            )
            said = {"paying": lambda _: _paying(checked), "claude_options": checked}
            return self.huey.task(name=name, **said, **kind)(body)

        return decorate

    def bind(self, body: Body) -> None:
        """Give Claude tasks their body; only a consumer does."""
        self._body = body

    def _run_prompt(
        self,
        prompt: str,
        options: dict[str, Any] | None = None,
        context: dict[str, Any] | None = None,
        *,
        task: Any,
        **previous: Any,
    ) -> dict[str, Any]:
        """In a pipeline the text of the task before is added to the prompt."""
        if previous.get("text"):
            prompt = f"{prompt}\n\n{previous['text']}"
        return self._run(task, prompt, options or {}, context or {})

    def _run(
        self, task: Any, prompt: str, options: dict[str, Any], context: dict[str, Any]
    ) -> dict[str, Any]:
        if self._body is None:
            raise BatonError("Claude tasks run in a consumer: start one with ./baton up")
        return self._body(task, prompt, options, context)


def _checked(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as they are stored; ValueError for one that Claude tasks do not have, or that costs too much."""
    config.check_options(options)
    return dict(options)


def _paying(options: Mapping[str, Any]) -> dict[str, Any]:
    """What the queue must know of a Claude task's costs: who pays, and how much at most."""
    budget_usd = options.get("max_budget_usd")
    if options.get("env") is None:  # who pays is said there alone; a burst asks for every file
        return {"credential": "", "budget_usd": budget_usd}
    credential = _credential(_settings.overlay(config.claude, options))
    own = "" if credential == _credential(config.claude) else credential
    return {"credential": own, "budget_usd": budget_usd}


def _paying_of_prompt(task: Any) -> dict[str, Any]:
    return _paying(task.kwargs.get("options") or {})


def _credential(options: _settings.ClaudeOptions) -> str:
    named = {n: config.environ[n] for n in options.env if n in config.environ}
    return _settings.credential(named)


claude = ClaudeTasks(huey)


def load_user_tasks() -> None:
    """Import the modules of `tasks:` in baton.yaml. Raises BatonError that names the module."""
    folder = str(config.base)
    if folder not in sys.path:
        sys.path.append(folder)
    for name in config.tasks:
        try:
            importlib.import_module(name)
        except Exception as error:
            raise BatonError(
                f"tasks: {name} in {config.config} cannot be imported: {type(error).__name__}: {error}"
            ) from error


def claude_submission(
    prompt: str,
    *,
    id: str = "",  # noqa: A002  # the queue's own word
    key: str = "",
    source: str = "",
    queue: str = "default",
    lock: str = "",
    priority: int = 0,
    options: Mapping[str, Any] | None = None,
    context: Mapping[str, Any] | None = None,
) -> Submission:
    """A prompt as a submission, for producers that move a cursor in the same step."""
    said = {"options": _checked(options or {}), "context": dict(context or {})}
    task = claude._prompt_task.s(prompt, **said, id=id or None, priority=priority)
    return _submission(task, id=id, key=key, source=source, queue=queue, lock=lock)


def task_submission(
    name: str,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    id: str = "",  # noqa: A002
    key: str = "",
    source: str = "",
    queue: str = "default",
    lock: str = "",
    priority: int = 0,
) -> Submission:
    """A call of a Python task as a submission. Raises UnknownTaskError when no module of `tasks:` has it."""
    task_class = _task_class(name)
    task = task_class(tuple(args), dict(kwargs or {}), priority=priority)
    return _submission(task, id=id, key=key, source=source, queue=queue, lock=lock)


def _task_class(name: str) -> Any:
    """By its full name, or by its last part where that is unambiguous."""
    known = huey._registry._registry
    matches = [full for full in known if full == name or full.endswith("." + name)]
    if len(matches) != 1:
        raise UnknownTaskError(name)
    return known[matches[0]]


def _submission(
    task: Any,
    *,
    id: str,  # noqa: A002
    key: str,
    source: str,
    queue: str,
    lock: str,
) -> Submission:
    task.id = id or uuid.uuid4().hex
    task.revoke_id = f"r:{task.id}"
    task.key, task.source, task.queue = key, source, queue
    task.lock = lock or getattr(task, "lock", "")  # the decorator's
    return huey.serialize_task(task).submission


__all__ = ["TaskFailed", "claude", "config", "cron", "huey"]
