"""Machines of a test's own: network namespaces, each with one cable to this one, which a test may pull."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Machine:
    """One namespace. `gateway` is the address at which it reaches the test's own machine."""

    space: str
    gateway: str

    @property
    def inside(self) -> tuple[str, ...]:
        """In front of a command: it runs there, with the same files and processes around it."""
        return ("nsenter", f"--net=/run/netns/{self.space}")

    def pull(self) -> None:
        """Nothing gets in or out from now on, and nobody is told."""
        _ip("-n", self.space, "link", "set", "cable", "down")

    def plug(self) -> None:
        """The cable is back."""
        _ip("-n", self.space, "link", "set", "cable", "up")


@contextlib.contextmanager
def machines(count: int) -> Iterator[list[Machine]]:
    """So many machines; the test is skipped, with the reason, where they cannot be made."""
    if not (shutil.which("ip") and shutil.which("nsenter")):
        pytest.skip("no ip or no nsenter on PATH (Linux: iproute2, util-linux)")
    with contextlib.ExitStack() as at_the_end:
        yield [at_the_end.enter_context(_machine(number)) for number in range(count)]


@contextlib.contextmanager
def _machine(number: int) -> Iterator[Machine]:
    mark = (
        os.getpid() % 0xFFFFF
    )  # tests that run side by side have names and addresses of their own
    space, near = f"bt{mark:x}-{number}", f"bt{mark:x}n{number}"
    subnet = f"10.{64 + mark // 256 % 128}.{mark % 256}.{16 * number}"
    host = subnet.rsplit(".", 1)[0] + f".{16 * number + 2}"
    gateway = subnet.rsplit(".", 1)[0] + f".{16 * number + 1}"
    try:
        _ip("netns", "add", space)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"network namespaces cannot be made here: {error.stderr.strip()}")
    try:
        _ip("link", "add", near, "type", "veth", "peer", "name", "cable", "netns", space)
        _ip("addr", "add", f"{gateway}/28", "dev", near)
        _ip("link", "set", near, "up")
        _ip("-n", space, "addr", "add", f"{host}/28", "dev", "cable")
        for link in ("cable", "lo"):
            _ip("-n", space, "link", "set", link, "up")
        yield Machine(space, gateway)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"network namespaces cannot be joined here: {error.stderr.strip()}")
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            _ip("netns", "del", space)  # the cable goes with it


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
