"""Forks the processes of the crash-point test from one that has imported everything: 20 ms each instead of 400.

Reads one JSON line for each: the part to play, its environment and its log; answers with its pid. A child
waits for a line on a FIFO of its own before it plays, so that a trap can be set for its pid.
"""

import json
import os
import signal
import sys
from pathlib import Path


def play(part: str, log: str) -> None:
    """In the child: as a process of its own would, from reading the settings on."""
    import logging

    out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(out, 1)
    os.dup2(out, 2)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, force=True)
    role, _, number = part.partition(" ")
    if role == "consumer":
        import settings
        from consumers import consumer

        consumer.run(settings.load(), number, lambda: None)
    else:
        from tests.integration import crash_tasks

        {"put in": crash_tasks.put_in, "produce": crash_tasks.produce}[part]()


def warm_up() -> None:
    """Everything but `tasks`, which reads the settings of an instance when it is imported."""
    import chaos.acks
    import chaos.body
    import consumers.attempt
    import consumers.consumer
    import consumers.leftovers
    import durable.queue
    import settings

    _ = (chaos, consumers, durable, settings)


def main() -> None:
    """One fork for each line of the standard input, until it ends."""
    warm_up()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.environ.update(order["env"])
            code = 1
            try:
                Path(order["start"]).read_bytes()  # a FIFO: until the test has written to it
                play(order["part"], order["log"])
                code = 0
            finally:
                if code:
                    import traceback

                    traceback.print_exc()
                sys.stderr.flush()
                os._exit(code)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
