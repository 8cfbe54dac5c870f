"""What the last `up` accepted of baton.yaml, for who looks at a running instance or stops it.

A mistake in baton.yaml or `.env` must not take the brakes away: the copy in the state folder stands in
for the file meanwhile. Secrets are in `.env` only, which is read again, but for the lines that are wrong.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from settings import ROOT, Settings, SettingsError, assembled
from settings.document import parse, read_text
from settings.environment import Surroundings, config_file, read_dotenv, var_folder

_NAME = "accepted.yaml"
_HEAD = "# What the last ./baton up accepted. It is of "


def keep(settings: Settings) -> None:
    """Leave a private copy of the yaml in the state folder, which must be there. Raises SettingsError."""
    text = read_text(settings.config, "")
    draft = settings.var / f".{_NAME}.{os.getpid()}"  # a boot may do the same
    draft.touch(mode=0o600)
    draft.write_text(f"{_head(settings.config)}\n{text}", encoding="utf-8")
    draft.replace(settings.var / _NAME)


def instead(
    mistake: SettingsError, config: Path | None = None, environ: Mapping[str, str] | None = None
) -> Settings:
    """The settings that the last `up` accepted of the yaml that load() refuses, with `mistake` in words.

    Raises the mistake itself where nothing was accepted, or where that cannot be used either.
    """
    process = os.environ if environ is None else environ
    file = config_file(config, process, ROOT)
    try:
        around = Surroundings(process, read_dotenv(file.parent / ".env", strict=False))
        text = _accepted(file, var_folder(around, file.parent, ROOT))
        found = assembled(parse(file, text), around)
    except (SettingsError, OSError, LookupError):
        raise mistake from None
    return msgspec.structs.replace(found, mistake=" ".join(str(mistake).split()))


def _accepted(file: Path, var: Path) -> str:
    """What was accepted of this file. Raises SettingsError, and LookupError for a copy of another file."""
    head, _, text = read_text(var / _NAME, "").partition("\n")
    if head != _head(file):
        raise LookupError(file)
    return text


def _head(file: Path) -> str:
    return f"{_HEAD}{json.dumps(os.path.realpath(file))}"
