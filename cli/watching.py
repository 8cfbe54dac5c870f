"""`./baton logs` without a task's id: what the apps log, of one of them or of all, and what follows with `-f`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from cli import applogs, queue
from cli.apps import app_name, roles
from cli.errors import CliError

_LOOK_EVERY_S = 0.2


def is_app(word: str) -> bool:
    """Whether a word names an app of this instance: as `status` shows it, or without the instance in front."""
    return bool(_named(word))


def app_logs(args: argparse.Namespace) -> int:
    """Print the last lines of an app's log, or of all; with `-f` also what follows."""
    var, *_ = _place()
    app = _named(args.id) if args.id else "*"
    readers, found = [], []
    for source in applogs.sources(var, app):
        end = applogs.sizes([source.path])[source.path]
        readers.append(applogs.Reader(source, end))
        found.append(applogs.tail(source, end))
    if not found and not args.follow:
        raise CliError(f"No app has logged anything in {var / 'logs'}.", "./baton up starts them.")
    _print(applogs.merged(found, args.lines), as_json=args.json)
    if args.follow:
        _follow(var, app, readers, as_json=args.json)
    return 0


def _follow(var: Path, app: str, readers: list[applogs.Reader], *, as_json: bool) -> None:
    """Print what is appended until Ctrl-C; files that appear meanwhile are read from their beginning."""
    while True:
        known = {reader.source for reader in readers}
        readers += [applogs.Reader(s) for s in applogs.sources(var, app) if s not in known]
        news = [list(reader.news()) for reader in readers]
        _print(applogs.merged(news, sys.maxsize), as_json=as_json)
        time.sleep(_LOOK_EVERY_S)


def _print(entries: Iterable[applogs.Entry], *, as_json: bool) -> None:
    for entry in entries:
        print(json.dumps(entry) if as_json else applogs.in_colour(entry), flush=True)


def _named(word: str) -> str:
    """The whole name of an app that the settings ask for or whose log is there; "" for anything else."""
    var, instance, names = _place()
    known = {*names, *(source.app for source in applogs.sources(var))}
    return next((name for name in (word, f"{instance}-{word}") if name in known), "")


def _place() -> tuple[Path, str, list[str]]:
    """The state folder, the instance, and the names of all apps; a baton.yaml with a mistake hides no log."""
    from settings import ROOT, SettingsError

    try:
        settings = queue.settings()
    except SettingsError as error:
        print(error, file=sys.stderr)
        return Path(os.environ.get("BATON_VAR") or ROOT / "var"), "baton", []
    names = [app_name(settings.instance, *role) for role in roles(settings)]
    return settings.var, settings.instance, names
