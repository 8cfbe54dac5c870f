"""Everything that takes a task out of the queue and runs it; nothing here puts one in."""
