"""The demo and its stand-in for the Messages API."""
