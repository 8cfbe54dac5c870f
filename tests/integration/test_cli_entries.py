"""What `up` refuses before it touches anything: entries of baton.yaml that cannot work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.test_cli_verbs import baton
from tests.site import Site

GOOD: dict[str, Any] = {
    "tasks": ["my_tasks"],
    "watchers": {"inbox": {"path": "Inbox", "prompt": "{{ name }}"}},
    "pollers": {"api": {"every": "1m", "http": {"url": "http://h/"}, "prompt": "{{ item }}"}},
    "schedules": {"briefing": {"cron": "0 9 * * 1", "prompt": "{{ tick }}"}},
}
MODULE = (
    "from tasks import cron, huey\n@huey.periodic_task(cron('@daily'){more})\ndef tidy(): ...\n"
)


def edited(entry: str, **fields: Any) -> dict[str, Any]:
    kind, name = entry.split(".")
    changed = {k: v for k, v in (GOOD[kind][name] | fields).items() if v is not None}
    return GOOD | {kind: {name: changed}}


BAD: list[tuple[dict[str, Any], str, str]] = [
    (edited("schedules.briefing", cron="0 0 9 * * 1"), "cron: 0 0 9", "it reads '0 9 * * 1'"),
    (edited("schedules.briefing", cron="0 9 31 2 *"), "cron: 0 9 31", "'0 9 29 2 *' is the nearest"),
    (edited("schedules.briefing", prompt="{{ tock }}"), "prompt: '{{ tock", "variable is called tock"),
    (edited("schedules.briefing", prompt=None, task="x"), "task: x", "no task is called 'x'"),
    (edited("watchers.inbox", prompt="{{ name"), "prompt: '{{ name", "unexpected end of template"),
    (edited("pollers.api", lock="{{ x }}"), "lock:", "no variable is called x"),
    (edited("pollers.api", http={"url": "http://h/", "items": "[["}), "api:", "is no JMESPath"),
    (edited("pollers.api", http={"url": "http://h/", "bearer": "NO"}), "api:", "NO has no value"),
]  # fmt: skip
CHECK = """
from pathlib import Path
from cli.entries import check
from settings import SettingsError, load
for folder in Path({folder!r}).glob('bad-*'):
    try:
        check(load(Path(folder) / 'baton.yaml'))
    except SettingsError as error:
        print(f'{{folder}}: line {{error.line}}: {{error}}')
"""


def test_an_entry_that_cannot_work_is_refused_with_its_line(short_tmp: Path) -> None:
    site = Site(short_tmp, GOOD)
    (short_tmp / "my_tasks.py").write_text(MODULE.format(more=""))
    for number, (config, _, _) in enumerate(BAD):
        (folder := short_tmp / f"bad-{number}").mkdir()
        (folder / "baton.yaml").write_text(yaml.safe_dump(config))
    said = {
        line.partition(": ")[0]: line
        for line in site.python(CHECK.format(folder=str(short_tmp))).splitlines()
    }
    for number, (config, begin, words) in enumerate(BAD):
        found = said[str(short_tmp / f"bad-{number}")]
        lines = yaml.safe_dump(config).splitlines()
        [line] = [n for n, text in enumerate(lines, 1) if text.strip().startswith(begin)]
        assert f": line {line}: " in found
        assert words in found


@pytest.mark.parametrize(
    ("config", "module", "words"),
    [
        (GOOD, MODULE.format(more=", overlap='never'"), "overlap='never'"),
        (BAD[0][0], MODULE.format(more=""), "Nothing was touched."),
    ],
)
def test_up_refuses_what_cannot_work_before_it_touches_anything(
    short_tmp: Path, config: dict[str, Any], module: str, words: str
) -> None:
    site = Site(short_tmp, config)
    (short_tmp / "my_tasks.py").write_text(module)
    assert words in " ".join(baton(site, "up", status=1).split())
    assert not site.settings.var.exists()


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("import json\n\n\ndef deep():\n    json.loads('{')\n\n\ndeep()\n", 8),
        ("import huey\n\ndef broken(:\n", 3),
    ],
    ids=["an error", "no Python"],
)
def test_up_shows_where_a_module_of_tasks_is_broken(
    short_tmp: Path, module: str, line: int
) -> None:
    site = Site(short_tmp, GOOD)
    (short_tmp / "my_tasks.py").write_text(module)
    said = baton(site, "up", status=1)
    assert f'File "{short_tmp / "my_tasks.py"}", line {line}' in said
    assert "above exception" not in said
    assert "cli/entries.py" not in said
