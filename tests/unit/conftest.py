"""The queue's tests on real servers too, with `--servers`; producers' tests elsewhere stay on the fake one."""

import pytest

from tests.conftest import SERVERS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test of the queue on the fake server, and with `--servers` on every real one."""
    if "client" in metafunc.fixturenames:
        real = SERVERS if metafunc.config.getoption("--servers") else ()
        metafunc.parametrize("client", ["fake", *real], indirect=True)
