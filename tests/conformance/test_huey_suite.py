"""Huey's own tests, from the installed package, on our Huey and our storage."""

from __future__ import annotations

import importlib
import inspect
import unittest
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from huey.tests.base import BaseTestCase
from huey.tests.test_immediate import NoUseException, NoUseStorage

from tests.conformance.adapter import ByHandHuey
from tests.conformance.skips import SKIPS
from tests.conftest import SERVERS

with mock.patch(
    "redis.Redis.info", side_effect=OSError
):  # on import it asks what answers on localhost
    from huey.tests.test_storage import StorageTests

MODULES = (
    "api",
    "crontab",
    "immediate",
    "priority",
    "registry",
    "serializer",
    "signals",
    "utils",
    "wrappers",
    "consumer",
)


class Untouchable(NoUseStorage):
    """Raises at every touch, of our verbs too."""

    @property
    def store(self) -> None:
        raise NoUseException


class NoUseHuey(ByHandHuey):
    """For the tests that say what immediate mode leaves alone."""

    def get_storage(self, **_: Any) -> Untouchable:
        return Untouchable()


class NamedErrors(ByHandHuey):
    """As in the test that it is for."""

    def build_error_result(self, task: Any, exception: BaseException) -> dict[str, Any]:
        found = super().build_error_result(task, exception)
        return {**found, "name": task.name, "args": task.args}


HUEYS: dict[str, Callable[[Any], ByHandHuey]] = {
    "TestImmediate": lambda _: ByHandHuey(immediate=True),
    "TestCustomErrorMetadata": lambda _: NamedErrors(),
    "TestDisableResultStore": lambda _: ByHandHuey(results=False),
    "TestStoreIntermediateErrors": lambda _: ByHandHuey(store_intermediate_errors=False),
    "TestImmediateMemoryStorage": lambda _: NoUseHuey(),
}


def _cases() -> Iterator[tuple[str, type[unittest.TestCase]]]:
    for name in MODULES:
        module = importlib.import_module(f"huey.tests.test_{name}")
        for title, case in inspect.getmembers(module, inspect.isclass):
            if issubclass(case, unittest.TestCase) and case.__module__ == module.__name__:
                yield title, case


def _ours(title: str, case: type[Any], server: str) -> type[Any]:
    own: dict[str, Any] = {"server": server, "get_huey": HUEYS.get(title, lambda _: ByHandHuey())}
    for method in (m for m in dir(case) if m.startswith("test")):
        reason = SKIPS.get(f"{title}.{method}") or SKIPS.get(title)
        if reason:
            own[method] = unittest.skip(reason)(getattr(case, method))
    return type(f"{title}_{server}", (case,), own)


CASES = {**dict(_cases()), "TestLeaseStorage": type("", (StorageTests, BaseTestCase), {})}
for _title, _case in CASES.items():
    for _server in SERVERS:
        globals()[f"{_title}_{_server}"] = _ours(_title, _case, _server)
del _title, _case, _server, BaseTestCase


def test_every_skip_names_a_test_that_there_is() -> None:
    for name in SKIPS:
        title, _, method = name.partition(".")
        assert hasattr(CASES[title], method), name
