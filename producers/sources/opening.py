"""Which source an entry of baton.yaml names."""

from __future__ import annotations

import settings as types
from producers.sources import Source
from producers.sources.command import Command, environment


def source_of(config: types.Poller, settings: types.Settings) -> Source:
    """The source that an entry names. Raises SourceError for one that cannot work as it is written."""
    if config.command is not None:
        env = environment(settings.environ, config.options.get("env", ()))
        lock = settings.var / "locks" / f"{settings.instance}-poll-{config.name}.program"
        return Command(config.command, config.timeout, settings.base, env, lock)
    # Only a web source pays for what speaks to the web.
    from producers.sources.web import Web

    web = Web(config.timeout)
    if config.http is not None:
        from producers.sources.http import Http

        return Http(config.http, web, settings.environ)
    from producers.sources.feed import Feed

    assert config.feed is not None
    return Feed(config.feed, web, settings.environ)
