"""The command line: one file per group of verbs. Nothing below this folder imports it."""
