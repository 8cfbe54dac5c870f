"""The process at the root of one attempt: starts claude, watches it, writes down how it ended.

It belongs to the attempt, not to the consumer: it goes on without one until its deadline. Started as
`python -I -S -X utf8 runner.py ATTEMPT_FOLDER`; the folder holds command.json and prompt.md.

This file is only the entry, because Python compiles it anew each time; run.py has the rest. All of
it uses light parts of the standard library alone, because one runner stands beside every claude.
"""

import os
import sys

if __name__ == "__main__":
    # -I leaves our own folders out of the path; last, so that no file of ours hides one of Python's.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from consumers.run import run

    status = run(sys.argv[1])
    sys.stderr.flush()
    os._exit(status)  # exit.json is written: nobody waits while Python takes itself apart
