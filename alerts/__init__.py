"""Tells people what needs them, and a watchdog outside that all is well: the app `<instance>-alerts`."""
