"""A monkey kills a private instance while it works, and an oracle counts what was lost: `./baton chaos`."""
