"""What makes a server unfit to hold a queue, each with its remedy. Pure: judges what INFO and CONFIG said.

What a server does not say is not judged: a managed one may hide CONFIG, a fork may count its versions anew.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

#: The oldest versions that the tests run on. Older ones lack parts of what the scripts call (ZADD GT came with
#: Redis 6.2), and a script that fails half-way leaves half a move behind: Lua has no rollback.
OLDEST = {"redis": (7, 0), "valkey": (8, 0)}
#: Versions in INFO that say nothing about who answers.
_NO_NAMES = {"redis", "valkey", "gcc", "rlec"}


class Findings(NamedTuple):
    """`unusable`: the queue cannot work here. `unsafe`: it works, but may lose what it acknowledged."""

    unusable: list[str]
    unsafe: list[str]


def judge(info: Mapping[str, Any], config: Mapping[str, str] | None) -> Findings:
    """What is wrong with a server, by its INFO and by CONFIG GET, which is None where it is forbidden."""
    return Findings(unusable(info), unsafe(config if config is not None else _told(info)))


def unusable(info: Mapping[str, Any]) -> list[str]:
    """Why the queue cannot work on this server at all."""
    found = []
    kind, version = kind_and_version(info)
    if is_too_old(kind, version):
        found.append(
            f"it is {kind.capitalize()} {dotted(version)}, which is too old: update it to {needed(kind)} or newer"
        )
    if str(info.get("cluster_enabled")) == "1" or info.get("redis_mode") == "cluster":
        found.append(
            "it is part of a cluster, and Baton's keys lie in one slot of one server: name a server that "
            "runs with `cluster-enabled no`"
        )
    if info.get("role") in ("slave", "replica"):
        found.append("it is a read-only replica: name the primary instead")
    return found


def unsafe(config: Mapping[str, str]) -> list[str]:
    """How this server may lose what it has acknowledged. A setting that is "" is not known."""
    found = []
    fsync, policy = config.get("appendfsync"), config.get("maxmemory-policy")
    if config.get("appendonly", "no") == "no":
        found.append("its append-only file is off, so a crash loses tasks: set `appendonly yes`")
    elif fsync and fsync != "always":
        found.append(
            f"it writes to disk {fsync}, so a power cut loses what it had acknowledged: set `appendfsync always`"
        )
    if policy and policy != "noeviction":
        found.append(
            f"it may throw tasks away when its memory is full ({policy}): set `maxmemory-policy noeviction`"
        )
    return found


def _told(info: Mapping[str, Any]) -> dict[str, str]:
    """The same settings as far as INFO has them; how often it writes to disk is not among them."""
    on_or_off = {"0": "no", "1": "yes"}.get(str(info.get("aof_enabled")), "")
    return {"appendonly": on_or_off, "maxmemory-policy": str(info.get("maxmemory_policy", ""))}


def kind_and_version(info: Mapping[str, Any]) -> tuple[str, tuple[int, ...]]:
    """What answers, and its version; () where that says nothing about what it can do.

    Valkey gives redis_version as well, which stands still. Other forks that have a version of their own
    (Dragonfly, Kvrocks, Garnet) put there whatever clients want to hear.
    """
    if "valkey_version" in info or info.get("server_name") == "valkey":
        return "valkey", _numbers(info.get("valkey_version"))
    names = {key.removesuffix("_version") for key in info if key.endswith("_version")}
    if names - _NO_NAMES:
        return "other", ()
    return "redis", _numbers(info.get("redis_version"))


def _numbers(version: object) -> tuple[int, ...]:
    found = re.match(r"\d+(\.\d+)*", str(version or ""))
    return tuple(map(int, found[0].split("."))) if found else ()


def is_too_old(kind: str, version: tuple[int, ...]) -> bool:
    """Whether this version is below what Baton needs; a version or kind that is not known is not too old."""
    return kind in OLDEST and version != () and version[:2] < OLDEST[kind]


def needed(kind: str) -> str:
    """The oldest version of this kind that will do: "Redis 7.0"."""
    return f"{kind.capitalize()} {dotted(OLDEST[kind])}"


def dotted(version: tuple[int, ...]) -> str:
    """A version as people write it."""
    return ".".join(map(str, version))
