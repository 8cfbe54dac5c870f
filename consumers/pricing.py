"""What tokens cost, by model: for a run that was killed before the CLI could say it. Pure.

The prices are those of Anthropic's public list (https://platform.claude.com/docs/en/about-claude/pricing), as it
stood in October 2026, in USD per million tokens: input, cache writes for 5 minutes and for an hour, cache reads,
output. What Claude Code 2.1.330 says of its own calls agrees with them. Not in them: fast mode, batches, web
searches, surcharges of a region.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from consumers.usage import Call

_MILLION = 1_000_000


class Prices(NamedTuple):
    """USD per million tokens."""

    input: float
    cache_write_5m: float
    cache_write_1h: float
    cache_read: float
    output: float


_OPUS_15 = Prices(15, 18.75, 30, 1.5, 75)
_OPUS_5 = Prices(5, 6.25, 10, 0.5, 25)
_SONNET_3 = Prices(3, 3.75, 6, 0.3, 15)

#: By family and version.
LIST = {
    ("fable", "5.1"): Prices(10, 12.5, 20, 0.25, 50),
    ("mythos", "5.1"): Prices(10, 12.5, 20, 0.25, 50),
    ("fable", "5"): Prices(10, 12.5, 20, 1, 50),
    ("mythos", "5"): Prices(10, 12.5, 20, 1, 50),
    ("opus", "5.5"): Prices(4, 5, 8, 0.2, 20),
    **{("opus", version): _OPUS_5 for version in ("5", "4.8", "4.7", "4.6", "4.5")},
    **{("opus", version): _OPUS_15 for version in ("4.1", "4", "3")},
    ("sonnet", "5.5"): Prices(2, 2.5, 4, 0.1, 10),
    ("sonnet", "5"): Prices(2, 2.5, 4, 0.2, 10),
    **{("sonnet", version): _SONNET_3 for version in ("4.6", "4.5", "4", "3.7")},
    ("haiku", "5.5"): Prices(0.1, 0.125, 0.2, 0.01, 0.5),
    ("haiku", "4.5"): Prices(1, 1.25, 2, 0.1, 5),
    ("haiku", "3.5"): Prices(0.8, 1, 1.6, 0.08, 4),
    ("haiku", "3"): Prices(0.25, 0.3, 0.5, 0.03, 1.25),
}
#: Where a call whose prompt is longer than so many tokens has prices of its own, for all of it.
LONG = {("haiku", "5.5"): (100_000, Prices(0.5, 0.625, 1, 0.05, 2.5))}

_NEW = re.compile(r"(fable|mythos|opus|sonnet|haiku)-(\d{1,2})(?:-(\d{1,2}))?(?!\d)")
_OLD = re.compile(r"claude-(\d)(?:-(\d))?-(opus|sonnet|haiku)")


def price(call: Call) -> float | None:
    """What a call cost, USD; None for a model that the list does not have."""
    model = version_of(call.model)
    if model is None or model not in LIST:
        return None
    above, dearer = LONG.get(model, (0, None))
    prices = dearer if dearer and call.prompt > above else LIST[model]
    return _cost(call, prices) / _MILLION


def version_of(model: str) -> tuple[str, str] | None:
    """Family and version in a model's name, also as Bedrock and Vertex write it; None where there is none."""
    if found := _NEW.search(model.lower()):
        family, major, minor = found.groups()
    elif found := _OLD.search(model.lower()):
        major, minor, family = found.groups()
    else:
        return None
    return family, f"{major}.{minor}" if minor and minor != "0" else major


def _cost(call: Call, prices: Prices) -> float:
    return (
        call.input * prices.input
        + call.cache_write_5m * prices.cache_write_5m
        + call.cache_write_1h * prices.cache_write_1h
        + call.cache_read * prices.cache_read
        + call.came_out * prices.output
    )
