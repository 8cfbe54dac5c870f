"""A delivery ends in its time, whatever the other end does."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from alerts.delivery import DeliveryError, Web


@pytest.fixture
def dripping() -> Iterator[str]:
    """The address of a server that sends the head of its answer line by line, faster than any timeout of a socket."""
    server = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        with contextlib.suppress(OSError):
            line, _ = server.accept()
            with line:
                line.recv(4096)
                line.sendall(b"HTTP/1.1 200 OK\r\n")
                for number in range(90):
                    line.sendall(f"x-{number}: y\r\n".encode())
                    time.sleep(0.03)

    thread = threading.Thread(target=answer)
    thread.start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}/s3cret"
    server.close()
    thread.join()


def test_a_head_that_drips_is_given_up_after_the_whole_time(dripping: str) -> None:
    with pytest.raises(DeliveryError) as failed:
        Web(0.3).ask("POST", dripping, b"{}", {})
    assert str(failed.value) == "http://127.0.0.1/… has not answered within 0.3 s"
    assert not failed.value.permanent
