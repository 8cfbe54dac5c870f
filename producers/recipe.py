"""What an entry of baton.yaml makes of something that happened: a task, Claude's or Python's."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from durable.records import Submission
from producers.templates import Template, TemplateError, as_file_name, as_plain
from settings import Poller, Schedule, Watcher

Entry = Watcher | Poller | Schedule


@dataclass(frozen=True)
class Makers:
    """What makes submissions: two functions of the module `tasks`, or a stand-in of a test."""

    claude_submission: Callable[..., Submission]
    task_submission: Callable[..., Submission]  # raises UnknownTaskError
    base: Path  # the folder of baton.yaml, where relative `result:` paths start


@dataclass(frozen=True)
class Occasion:
    """One thing that happened: what identifies it, and what is told about it."""

    id: str
    key: str
    values: Mapping[str, object]  # for the template; some may be templates.Absent
    args: Sequence[Any] = ()  # for a Python task
    context: Mapping[str, Any] | None = None  # kept with a Claude task, for people to read


class Recipe:
    """An entry with its templates read. Building it raises TemplateError or UnknownTaskError."""

    def __init__(self, entry: Entry, kind: str, variables: Collection[str], makers: Makers) -> None:
        self.entry, self._makers = entry, makers
        self.source = f"{kind}:{entry.name}"
        where = f"{kind}s.{entry.name}"
        self._prompt = self._result = self._lock = None
        if entry.lock:
            self._lock = Template(entry.lock, variables, where + ".lock", as_plain)
        if entry.prompt:
            self._prompt = Template(entry.prompt, variables, where + ".prompt")
            if result := _result(entry):
                self._result = Template(result, variables, where + ".result", as_file_name)
        else:
            makers.task_submission(entry.task or "")  # a name that no module has is refused now
        templates = (self._prompt, self._result, self._lock)
        #: The variables that the templates name.
        self.uses = frozenset[str]().union(*(each.uses for each in templates if each))

    def submission(self, occasion: Occasion) -> Submission:
        """The task that this occasion becomes. Raises TemplateError."""
        if self._prompt is None:
            return self._call(occasion)
        prompt = self.prompt(occasion)
        options = dict(self.entry.options)
        if self._result:
            options["result"] = self._result_path(self._result, occasion)
        context = dict(occasion.context or {})
        return self._makers.claude_submission(
            prompt, options=options, context=context, **self._common(occasion)
        )

    def prompt(self, occasion: Occasion) -> str:
        """What Claude is told; "" for a Python task. Raises TemplateError."""
        if self._prompt is None:
            return ""
        prompt = self._prompt.render(occasion.values)
        if not prompt.strip():
            raise TemplateError(self._prompt.where, "the prompt comes out empty")
        return prompt

    def _call(self, occasion: Occasion) -> Submission:
        name, args = self.entry.task or "", list(occasion.args)
        return self._makers.task_submission(name, args, **self._common(occasion))

    def _result_path(self, template: Template, occasion: Occasion) -> str:
        path = template.render(occasion.values).strip()
        if not path or path.endswith("/"):
            raise TemplateError(template.where, f"{path!r} names no file")
        return os.path.normpath(os.path.join(self._makers.base, os.path.expanduser(path)))

    def _common(self, occasion: Occasion) -> dict[str, Any]:
        return {
            "id": occasion.id,
            "key": occasion.key,
            "source": self.source,
            "queue": self.entry.queue,
            "lock": self._lock.render(occasion.values).strip() if self._lock else "",
            "priority": self.entry.priority,
        }


def _result(entry: Entry) -> str | None:
    own = None if isinstance(entry, Poller) else entry.result
    return own or entry.options.get("result")
