"""A stand-in for the Messages API on loopback, for the real Claude Code CLI in demo and tests.

Never asks a model anything: the prompt says what is answered (demo/README.md). Run it as
`python -P -m demo.standin --port 0 --announce FILE`; it stops at SIGINT or SIGTERM.
"""

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from demo import quota
from demo.server import HOST, StandIn

EXIT_IN_USE = 1


def announce(path: Path, port: int) -> None:
    """Write port and process id to `path`; a reader sees all of it or nothing."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps({"port": port, "pid": os.getpid()}) + "\n", encoding="utf-8")
    draft.replace(path)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="demo.standin", description="Messages API stand-in")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 picks a free one")
    parser.add_argument("--announce", type=Path, help="file that gets the port once it listens")
    parser.add_argument("--log", type=Path, help="file that gets one JSON line per request")
    parser.add_argument(
        "--quota",
        type=quota.parse,
        metavar="REQUESTS:SECONDS",
        help="after so many requests a subscription's limit is reached, for so long",
    )
    return parser.parse_args()


def main() -> int:
    """Serve until SIGINT or SIGTERM."""
    given = arguments()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    try:
        server = StandIn(given.port, given.log, given.quota)
    except OSError as error:
        print(
            f"The stand-in cannot listen on {HOST}:{given.port}: {error.strerror}. "
            "Stop what listens there, or give --port 0.",
            file=sys.stderr,
        )
        return EXIT_IN_USE
    if given.announce:
        announce(given.announce, server.server_port)
    server.serve_forever()
    return 0


def _leave(number: int, frame: FrameType | None) -> None:
    # Connections live in daemon threads, so nothing needs to be waited for.
    raise SystemExit(0)


if __name__ == "__main__":
    raise SystemExit(main())
