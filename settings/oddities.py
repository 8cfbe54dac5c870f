"""What is allowed in baton.yaml but looks like a slip: said by `up` and `status`, and nothing is refused."""

from collections.abc import Iterable

from msgspec import to_builtins

from settings.document import Document, KeyPath, place
from settings.entries import WHERE, Entry
from settings.hosts import OWN, own_queue
from settings.sections import Fields, missing_paths
from settings.types import ClaudeOptions, ConsumerGroup


def warnings(
    document: Document,
    claude: ClaudeOptions,
    host: str,
    groups: tuple[ConsumerGroup, ...],
    entries: Iterable[Entry],
    daily_usd: float | None,
) -> list[str]:
    """Paths that are not there (they may come: a mount), queues that no consumer takes from, odd budgets."""
    written: dict[KeyPath, Fields] = {("claude",): to_builtins(claude, enc_hook=float)}
    placed: dict[KeyPath, Entry] = {(WHERE[type(entry)], entry.name): entry for entry in entries}
    written |= {path: entry.options for path, entry in placed.items()}
    found = [
        f"{_place(document, (*path, key))}: {key} names {missing}, which is not there."
        for path, chosen in written.items()
        for key, missing in missing_paths(chosen)
    ]
    found += [
        f"{_place(document, (*path, 'queue'))}: {_unserved(entry.queue, own_queue(host))}"
        for path, entry in placed.items()
        if not _is_served(entry.queue, groups, own_queue(host))
    ]
    if daily_usd is not None:
        found += _odd_budgets(document, written, daily_usd)
    return found


def _odd_budgets(document: Document, written: dict[KeyPath, Fields], daily_usd: float) -> list[str]:
    usual = written[("claude",)].get("max_budget_usd")
    if usual is None:
        where = _place(document, ("budget_usd_per_day",))
        return [
            f"{where}: without max_budget_usd under claude a running task reserves nothing of "
            "the day's budget, so the day may cost more."
        ]
    return []


def _is_served(queue: str, groups: tuple[ConsumerGroup, ...], own: str) -> bool:
    here = [group for group in groups if group.count]
    if queue != own and (not here or queue.startswith(OWN)):
        return True  # this host only produces, or means another one: those have files of their own
    return any(queue in group.queues for group in here)


def _unserved(queue: str, own: str) -> str:
    if queue != own:
        return f"no consumer takes from the queue {queue}."
    return (
        f"its tasks are this machine's own (queue {own}), and no consumer here takes them. Let one take"
        " from default, or write shared: true where other machines see the folder under the same path."
    )


def _place(document: Document, path: KeyPath) -> str:
    return place(document.file, document.line(path))
