"""`./baton costs`, and what show and status say about money, as a person calls them."""

from durable.costs import Cost
from durable.records import Lease, State
from tests.integration.test_cli_verbs import baton, facts, site
from tests.site import Site

__all__ = ["site"]  # the fixture


def test_costs_are_shown_by_task_and_by_day_source_and_model(site: Site) -> None:
    assert "No attempt has cost anything" in baton(site, "costs")
    task_id = facts(site, "add", "One")["id"]
    lease = site.store.claim("me", "n", ["default"], 30_000)
    assert isinstance(lease, Lease)
    cost = Cost(model="claude-x", usd=1.25, input=1_500, output=20, cache_write=3, cache_read=4)
    site.store.settle(lease, State.SUCCEEDED, outcome="succeeded", costs=[cost])
    [row] = facts(site, "costs")
    assert (row["source"], row["model"], row["usd"], row["input"]) == (
        "cli",
        "claude-x",
        1.25,
        1500,
    )
    [total] = facts(site, "costs", "--by", "source", "--days", "1")
    assert (total["source"], total["attempts"]) == ("cli", 1)
    said = baton(site, "costs", "--by", "model")
    assert "claude-x" in said
    assert "$1.25" in said
    shown = baton(site, "show", task_id)
    assert "$1.2500" in shown
    assert "1.5k in, 20 out" in shown
    assert "Today: $1.25" in baton(site, "status")
    assert facts(site, "status")["today"]["tokens"] == 1_523
