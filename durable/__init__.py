"""The lease queue: records, scripts, storage and the Huey class on top. Knows no producer and no consumer."""
