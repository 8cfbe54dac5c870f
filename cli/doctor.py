"""`./baton doctor`: everything that people trip over, looked at once, each with its remedy."""

from __future__ import annotations

import argparse

from cli import queue
from cli.examinations import examine
from cli.examinations.findings import Finding
from cli.terminal import paint, print_json, printable, wrapped

_MARKS = {"ok": ("ok", "green"), "warn": ("warn", "yellow"), "bad": ("bad", "red")}


def doctor(args: argparse.Namespace) -> int:
    """Print what is well, what deserves a look, and what is wrong; exit status 1 when something is."""
    found = list(examine(queue.settings()))
    if args.json:
        print_json([finding._asdict() for finding in found])
    else:
        for finding in found:
            _print(finding)
        print(_summary(found))
    return 1 if any(finding.verdict == "bad" for finding in found) else 0


def _print(finding: Finding) -> None:
    mark, tone = _MARKS[finding.verdict]
    words = f"{paint(f'{mark:<5}', tone)} {finding.what:<10} {printable(finding.words)}"
    print(wrapped(words, " " * 17))
    if finding.remedy:
        print(wrapped(f"{'':<17}→ {printable(finding.remedy)}", "  "))


def _summary(found: list[Finding]) -> str:
    bad = sum(finding.verdict == "bad" for finding in found)
    look = sum(finding.verdict == "warn" for finding in found)
    if not bad and not look:
        return "\nAll is well."
    parts = [f"{bad} wrong" if bad else "", f"{look} to look at" if look else ""]
    return f"\n{', '.join(filter(None, parts)).capitalize()}."
