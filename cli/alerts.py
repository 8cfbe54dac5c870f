"""`./baton alerts`: what is open, what waits to be sent, what became of the last deliveries; `--test` sends one."""

from __future__ import annotations

import argparse
import time
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

from cli import queue
from cli.errors import CliError
from cli.terminal import moment, paint, print_json, printable, table

if TYPE_CHECKING:
    from alerts.messages import Incident, Message
    from settings import Settings

_HOW = "Write `alerts:` into baton.yaml (docs/alerts.md), then run ./baton up."


class Desk(NamedTuple):
    """What stands in Redis about alerts."""

    open: list[Incident]
    waiting: list[Message]
    sent: list[dict[str, Any]]
    owner: str
    watched: bool


def alerts(args: argparse.Namespace) -> int:
    """Print what alerts have come to, or send a message of their kind."""
    settings = queue.settings()
    if args.test:
        return _test(settings, as_json=args.json)
    desk = _desk()
    if args.json:
        print_json(_facts(settings, desk))
    else:
        _print(settings, desk)
    return 0


def _desk() -> Desk:
    import msgspec

    from alerts.messages import Incident, Message
    from durable.alerting import Alerting

    store = queue.store()
    alerting = Alerting(store.client, store.prefix)
    board = alerting.board()
    found = [msgspec.json.decode(text, type=Incident) for text in board.incidents.values()]
    waiting = [msgspec.json.decode(text, type=Message) for text in board.outbox.values()]
    return Desk(
        sorted(found, key=lambda incident: incident.since_ms),
        sorted(waiting, key=lambda message: message.seq),
        alerting.sent(),
        *alerting.watcher(),
    )


def _facts(settings: Settings, desk: Desk) -> dict[str, Any]:
    import msgspec

    return {
        "configured": settings.alerts is not None,
        "watch": {"owner": desk.owner, "now": desk.watched},
        "open": msgspec.to_builtins(desk.open),
        "waiting": msgspec.to_builtins(desk.waiting),
        "sent": desk.sent,
    }


def _print(settings: Settings, desk: Desk) -> None:
    if settings.alerts is None:
        print(f"No alerts are configured. {_HOW}")
    elif not desk.watched:
        print(paint("No alerts app is at work: ./baton up starts it.", "red"))
    if desk.open:
        rows = ((i.kind, i.subject, moment(i.since_ms), printable(i.text)) for i in desk.open)
        print(table(("OPEN", "SUBJECT", "SINCE", "WHAT"), rows))
    elif settings.alerts is not None:
        print("Nothing is open.")
    if desk.waiting:
        print(f"{len(desk.waiting)} to be sent.")
    if desk.sent:
        rows_sent = (
            (moment(one["at_ms"]), one["state"], one["kind"], one["subject"], one["outcome"])
            for one in desk.sent
        )
        print("\n" + table(("SENT", "STATE", "KIND", "SUBJECT", "WHAT BECAME OF IT"), rows_sent))


def _test(settings: Settings, *, as_json: bool) -> int:
    """Send one from here: that the channel works needs no Redis."""
    import msgspec

    from alerts.delivery import DeliveryError, MissingVariableError, way_of
    from alerts.messages import Message, payload

    now_ms = int(time.time() * 1000)
    message = Message(
        seq=0,
        incident=uuid.uuid4().hex[:16],
        state="test",
        kind="test",
        subject="test",
        text="this is a test: alerts arrive",
        since_ms=now_ms,
        due_ms=now_ms,
    )
    try:
        way = way_of(settings)
        if way is None:
            raise CliError("No alerts are configured.", _HOW)
        way.send(msgspec.json.encode(payload(message, settings.instance, now_ms)))
    except MissingVariableError as error:
        raise CliError(str(error), "Then run this again.") from error
    except DeliveryError as error:
        raise CliError(
            f"The message was not taken: {error}.", "Correct `alerts:` or .env."
        ) from error
    if as_json:
        print_json({"incident": message.incident, "outcome": "delivered"})
    else:
        print("Delivered: look whether it has arrived.")
    return 0
