"""The grammar of the command line: every verb, its options, and which function does it.

A verb is named as `module:function` and imported only when it is called: `./baton list` loads
neither PM2 nor a producer.
"""

from __future__ import annotations

import argparse
from typing import Any

from cli.terminal import screen

NEWCOMER = """\
Baton hands each task to a clean Claude Code process and never drops it.

  ./baton demo               see it work, without an account
  ./baton up                 start everything; then drop a file into Inbox/
  ./baton add "PROMPT"       put a task in by hand
  ./baton status             what runs, what waits, what is missing
  ./baton logs ID -f         watch Claude work on a task

./baton --help lists every verb; ./baton VERB --help explains one."""

# These take their arguments as they are: what follows `test` is pytest's to understand.
PASSED_THROUGH = {
    "chaos": "chaos.run:main",
    "demo": "demo.show:main",
    "test": "cli.checks:test",
}

_PROG = "./baton"
# In front of the names of Claude's options among the parsed arguments.
OPTION = "option_"


class _Formatter(argparse.HelpFormatter):
    """One that knows the width by itself: argparse makes one for each argument, and loads shutil for that."""

    def __init__(self, prog: str, *, width: int | None = None) -> None:
        super().__init__(prog, max_help_position=26, width=width or min(screen()[0], 100) - 2)

    def format_help(self) -> str:
        """Return the text; argparse forgets that the names of verbs are indented once more."""
        self._action_max_length += 2
        return super().format_help()


class _Unasked:
    """Stands for the parser of a verb that this call is not about."""

    def add_argument(self, *words: str, **options: Any) -> None:
        """Do nothing."""

    def add_argument_group(self, title: str) -> _Unasked:
        """Do nothing."""
        return self


class Verbs:
    """The verbs that a parser knows; `add` returns the parser of one, for its arguments.

    With `only` it makes that one: twenty-five parsers for one call take longer than what most verbs do.
    """

    def __init__(self, top: argparse.ArgumentParser, only: str = "") -> None:
        self.only, self.found = only, False
        # Without `prog`, argparse formats a usage to find it, and loads all that it formats with.
        self._verbs = top.add_subparsers(dest="verb", metavar="VERB", title="verbs", prog=_PROG)

    def add(self, name: str, target: str, text: str, *, json: bool = False) -> Any:
        """Add a verb; `text` is its line in the list of verbs, and its description."""
        if not self._asked(name):
            return _Unasked()
        verb = self._verbs.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            allow_abbrev=False,
            formatter_class=_Formatter,
        )
        verb.set_defaults(target=target)
        if json:
            verb.add_argument("--json", action="store_true", help="print JSON")
        return verb

    def add_hidden(self, name: str, target: str) -> Any:
        """Add a verb that programs call; no list shows it."""
        if not self._asked(name):
            return _Unasked()
        verb = self._verbs.add_parser(name, formatter_class=_Formatter)
        verb.set_defaults(target=target)
        verb.add_argument("--json", action="store_true")
        return verb

    def _asked(self, name: str) -> bool:
        self.found = self.found or name == self.only
        return self.only in ("", name)


def parser(verb: str = "") -> argparse.ArgumentParser:
    """Return the parser of one verb, or of the whole command line where there is no such verb.

    Claude's options are spelled out for `add` alone.
    """
    made, known = _parser(verb, only=verb)
    return made if known else _parser("", only="")[0]


def _parser(verb: str, only: str) -> tuple[argparse.ArgumentParser, bool]:
    top = argparse.ArgumentParser(
        prog=_PROG, description=NEWCOMER.splitlines()[0], formatter_class=_Formatter
    )
    verbs = Verbs(top, only)
    _running(verbs)
    _putting_in(verbs, spelled_out=verb == "add")
    _looking(verbs)
    _acting(verbs)
    _trying(verbs)
    verbs.add_hidden("apps", "cli.apps:apps")
    return top, verbs.found


def _running(verbs: Verbs) -> None:
    verbs.add("up", "cli.up:up", "start what is missing, restart what changed", json=True)
    down = verbs.add("down", "cli.down:down", "stop everything, Redis last")
    down.add_argument("--drain", action="store_true", help="let running tasks finish first")
    restart = verbs.add("restart", "cli.up:restart", "restart all apps, or those named", json=True)
    restart.add_argument("names", nargs="*", metavar="APP", help="as `status` shows them")
    _boot(verbs)
    text = "what runs, what waits, what is missing"
    status = verbs.add("status", "cli.status:status", text, json=True)
    words = "draw it again every 2 s, until q or Ctrl-C"
    status.add_argument("--watch", action="store_true", help=words)
    text = "look at everything that people trip over, with remedies"
    verbs.add("doctor", "cli.doctor:doctor", text, json=True)
    alerts = verbs.add("alerts", "cli.alerts:alerts", "what was told, and what is open", json=True)
    alerts.add_argument("--test", action="store_true", help="send a message now")
    verbs.add("login", "cli.session:login", "log Claude in, then let waiting tasks go on")


def _boot(verbs: Verbs) -> None:
    boot = verbs.add("boot", "cli.boot:boot", "start everything when the machine starts", json=True)
    text = "make the unit, take it away, say whether there is one; start is what it calls"
    boot.add_argument("what", choices=("install", "remove", "status", "start"), help=text)
    boot.add_argument("--into", metavar="DIR", help="write the unit there, and run no command")


def _putting_in(verbs: Verbs, spelled_out: bool) -> None:
    add = verbs.add("add", "cli.submit:add", "put a task in", json=True)
    add.add_argument("prompt", help="what Claude is to do; - reads it from standard input")
    add.add_argument("--key", default="", help="a second task of the same key is not put in")
    add.add_argument("--priority", type=int, default=0, help="higher goes first (default 0)")
    add.add_argument("--queue", default="default", help="which consumers may take it")
    add.add_argument("--lock", default="", help="of the tasks with this lock, one runs at a time")
    add.add_argument("--wait", action="store_true", help="wait for the end; print the result")
    if spelled_out:
        _claude_options(add)


def _claude_options(add: Any) -> None:
    """Every option of an entry in baton.yaml, spelled as claude spells it on its command line."""
    from settings.types import ClaudeOptions

    group = add.add_argument_group("options of Claude, as in baton.yaml; lists with commas")
    for name in ClaudeOptions.__struct_fields__:
        flag = "--" + name.replace("_", "-")
        if isinstance(getattr(ClaudeOptions(), name), bool):
            yes_or_no = argparse.BooleanOptionalAction
            group.add_argument(flag, dest=OPTION + name, action=yes_or_no, default=None)
        else:
            group.add_argument(flag, dest=OPTION + name, metavar="VALUE")


def _looking(verbs: Verbs) -> None:
    listing = verbs.add(
        "list", "cli.look:list_tasks", "list what runs, what waits, and what ended", json=True
    )
    listing.add_argument("--state", help="only tasks in this state: queued, running, failed …")
    listing.add_argument("--source", help="only tasks from this source: watcher:inbox, cli …")
    listing.add_argument("--limit", type=_positive, default=20, help="at most so many (default 20)")
    show = verbs.add("show", "cli.show:show", "show all that is known of a task", json=True)
    show.add_argument("id", metavar="ID", help="a task's id, or the unique beginning of it")
    show.add_argument("--attempt", type=_positive, metavar="N", help="this attempt's line, too")
    text = "show what Claude said and did on a task, or what apps log"
    logs = verbs.add("logs", "cli.logs:logs", text, json=True)
    logs.add_argument(
        "id", nargs="?", metavar="ID-or-APP", help="a task's id, or an app; without it all apps"
    )
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the task ends")
    logs.add_argument("--lines", type=_positive, default=50, metavar="N", help="of apps (50)")
    logs.add_argument("--attempt", type=_positive, metavar="N", help="this one, not the latest")
    costs = verbs.add("costs", "cli.costs:costs", "what Claude tasks cost, day by day", json=True)
    costs.add_argument("--days", type=_positive, default=30, help="of so many (default 30)")
    costs.add_argument("--by", choices=("source", "model", "day"), help="sum by this (default day)")

    why = verbs.add("why", "cli.why:why", "explain a task, or what became of a source", json=True)
    why.add_argument("name", metavar="NAME-or-ID", help="a schedule, a watcher, a poller or a task")
    text = "each schedule with its next and its last tick"
    verbs.add("schedules", "cli.schedules:schedules", text, json=True)


def _acting(verbs: Verbs) -> None:
    back = "put tasks that ended back into the queue, with all retries and a full budget"
    for name, target, text in (
        ("cancel", "cli.cancel:cancel", "cancel tasks, running or not"),
        ("retry", "cli.act:retry", back),
        ("hold", "cli.act:hold", "put waiting tasks aside until you release them"),
        ("release", "cli.act:release", "send held tasks on, where they were"),
    ):
        verb = verbs.add(name, target, text, json=True)
        verb.add_argument("ids", metavar="ID", nargs="+", help="ids, or unique beginnings of them")
        if name == "retry":
            words = "go on in the session of its last attempt rather than afresh"
            verb.add_argument("--resume", action="store_true", help=words)
        if name == "hold":
            verb.add_argument("--reason", default="", help="why; `show` and `why` say it")
    prune = verbs.add("prune", "cli.prune:prune", "remove finished tasks of some age", json=True)
    prune.add_argument("age", type=_age, metavar="AGE", help="longer ago: 12h, 7d")
    prune.add_argument("--dry-run", action="store_true", help="only say which")
    run = verbs.add("run", "cli.schedules:run", "fire a schedule now, by hand", json=True)
    run.add_argument("name", metavar="NAME", help="as `schedules` shows it")
    poll = verbs.add("poll", "cli.poll:poll", "ask a source now, whatever the time", json=True)
    poll.add_argument("name", metavar="NAME", help="of the poller in baton.yaml")
    poll.add_argument("--dry-run", action="store_true", help="show what is new, and leave it so")
    text = "start no more tasks; running ones go on"
    pause = verbs.add("pause", "cli.act:pause", text, json=True)
    pause.add_argument("reason", nargs="*", help="why; `status` shows it")
    text = "open the gate again, whatever closed it or for one reason"
    unpause = verbs.add("unpause", "cli.act:unpause", text, json=True)
    unpause.add_argument("reason", nargs="*", help="pause, login, usage limit …; none: all")


def _trying(verbs: Verbs) -> None:
    verbs.add("demo", PASSED_THROUGH["demo"], "a complete private instance at work, no account")
    shell = verbs.add("shell", "cli.session:shell", "a Python shell with huey and claude in place")
    shell.add_argument("-c", dest="code", metavar="CODE", help="run this and leave")
    verbs.add("check", "cli.session:check", "format, lint and types")
    verbs.add("test", PASSED_THROUGH["test"], "run every test")
    verbs.add("chaos", PASSED_THROUGH["chaos"], "kill a private instance at random; count losses")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _age(text: str) -> float:
    from settings import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
