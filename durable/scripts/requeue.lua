-- requeue: a person sends a held, failed or cancelled task back into its queue, with its retries new.
-- ARGV: id. Answers the state found ('missing' when there is none); only these three states are moved.
local id = ARGV[1]
local state = redis.call('HGET', task_key(id), 'state')
if not state then return 'missing' end
if state == 'held' or state == 'failed' or state == 'cancelled' then
  unlink(id)
  redis.call('ZREM', P .. 'finished:' .. state, id)
  local attempt = redis.call('HGET', task_key(id), 'attempt') or 0
  redis.call('HDEL', task_key(id), 'result', 'finished_ms')
  redis.call('HSET', task_key(id), 'counted', 0, 'excused', attempt, 'outcome', '', 'reason', '')
  reopen_place(id)
  to_ready(id, false)
  note('requeued', id, state)
end
return state
