"""How often is looked, and how long storms are gathered: one place, one scale."""

from __future__ import annotations

import os

#: Multiplies all of the times below. For tests only; `up` passes it to no app.
SCALE = "BATON_ALERTS_SCALE"
_FACTOR = float(os.environ.get(SCALE, "1"))

#: Between two looks at what has happened, s.
LOOK_S = 3.0 * _FACTOR
#: Between two looks at what takes longer to find out: disks, processes, schedules, queues, s.
SLOW_LOOK_S = 10.0 * _FACTOR
#: Of a source, one message about tasks that fail is due in so long, ms; the first is due at once.
GROUP_MS = int(60_000 * _FACTOR)
#: Beside the time of a delivery, the watch holds for so long after the last look, ms.
WATCH_MS = int(30_000 * _FACTOR)
#: Redis is away for so long before that is told, s.
AWAY_S = 60.0 * _FACTOR
#: An app that has ended and is not back after so long is down, s. PM2 waits 15 s at most.
DOWN_S = 60.0 * _FACTOR
#: So many starts within so long are a restart loop; a person who restarts everything makes one.
LOOP_STARTS = 5
LOOP_S = 300.0 * _FACTOR
#: Between two pings for the whole instance, s.
PING_S = 60.0 * _FACTOR
#: After a delivery that failed: the first pause and the longest, s.
RETRY_S = (2.0 * _FACTOR, 300.0 * _FACTOR)
