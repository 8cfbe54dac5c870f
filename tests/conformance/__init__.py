"""Huey's own tests on our Huey; those that it calls slow (a second or less) are run too."""

import os

os.environ["HUEY_SLOW_TESTS"] = "1"  # read when huey.tests is imported
