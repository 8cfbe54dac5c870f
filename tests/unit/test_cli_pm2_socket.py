"""How PM2's daemon is asked without its command line; tests/acceptance asks a real one."""

import json
import socket
import threading
from pathlib import Path

import pytest

from cli.pm2_socket import list_apps, message, parts_of


def test_a_message_is_read_as_it_was_written_and_only_when_it_is_whole() -> None:
    whole = message(b"j:{}", b"s:id", b"")
    assert parts_of(whole) == [b"j:{}", b"s:id", b""]
    assert [parts_of(whole[:length]) for length in range(len(whole))] == [None] * len(whole)


def answered(folder: Path, answer: bytes) -> object:
    """What is made of this answer of a daemon, byte by byte as it may come."""
    path = folder / "rpc.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            line, _ = listener.accept()
            with line:
                data = b""
                while parts_of(data) is None:
                    data += line.recv(1024)
                for byte in answer:
                    line.sendall(bytes([byte]))

        daemon = threading.Thread(target=serve)
        daemon.start()
        try:
            return list_apps(path)
        finally:
            daemon.join()


def reply(facts: object, name: bytes = b"s:baton:0") -> bytes:
    return message(b"j:" + json.dumps(facts).encode(), name)


def test_the_apps_are_what_the_daemon_says(short_tmp: Path) -> None:
    assert answered(short_tmp, reply({"args": [[{"name": "a"}]]})) == [{"name": "a"}]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        reply({"args": [[]]})[:-3],
        reply({"error": "no such method"}),
        reply({"args": [[], []]}),
        reply({"args": [{"name": "a"}]}),
        reply([1]),
        reply({"args": [[]]}, b"s:somebody:1"),
        message(b"\xff\x00", b"s:baton:0"),
        message(b"j:{", b"s:baton:0"),
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
def test_what_is_not_as_expected_is_left_to_the_command(short_tmp: Path, answer: bytes) -> None:
    assert answered(short_tmp, answer) is None


def test_nobody_who_listens_is_an_oserror(short_tmp: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        list_apps(short_tmp / "rpc.sock")
