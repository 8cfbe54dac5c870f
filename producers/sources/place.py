"""Where a web source stands, as text: the validators of its last whole answer, and a page to go on from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """Of one address; another one's place is forgotten. The address itself may hold a secret: its digest is kept."""

    address: str
    etag: str = ""
    modified: str = ""
    next: str = ""  # a page that was not fetched yet
    pages: int = 0  # how many there were before it

    @classmethod
    def read(cls, text: str, address: str) -> Place:
        """The place in a cursor's text; an unknown one begins anew, which costs an answer and no item."""
        try:
            fields = json.loads(text)
            if fields["of"] != _digest(address):
                return cls(address)
            validators = str(fields["etag"]), str(fields["modified"])
            return cls(address, *validators, str(fields["next"]), int(fields.get("pages", 0)))
        except (ValueError, KeyError, TypeError):
            return cls(address)

    @classmethod
    def of(cls, address: str, headers: Mapping[str, str]) -> Place:
        """After a whole answer."""
        return cls(address, headers.get("etag", ""), headers.get("last-modified", ""))

    def conditions(self) -> dict[str, str]:
        """The headers that let the server say that nothing is new."""
        found = {"if-none-match": self.etag, "if-modified-since": self.modified}
        return {name: value for name, value in found.items() if value}

    def text(self) -> str:
        """The cursor that stands for it."""
        fields = {"of": _digest(self.address), "etag": self.etag, "modified": self.modified}
        return json.dumps(fields | {"next": self.next, "pages": self.pages})


def _digest(address: str) -> str:
    return hashlib.sha256(address.encode()).hexdigest()[:16]
