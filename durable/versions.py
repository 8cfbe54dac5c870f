"""The numbers by which versions of Baton tell each other's work apart.

A field that older code may overlook raises none of them: everybody ignores fields that are not known.
"""

from __future__ import annotations

#: Of messages and records. Raised when an older consumer would do something wrong with a new message. It leaves
#: those in their lanes, for a consumer that understands them.
MESSAGE = 1
#: Of the data set as a whole. Raised, with a step in scripts/migrate.lua, when older code must not touch the data at
#: all: a state, a structure or a rule that it would break.
FORMAT = 2


def refusal(version: int) -> str:
    """What to say of a task whose message is of a later version."""
    return (
        f"made by a newer Baton (version {version}), this one understands {MESSAGE}: "
        "upgrade this machine"
    )
