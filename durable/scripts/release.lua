-- release: the attempt did not count; the task goes back to the head of its queue, or waits.
-- ARGV: id, token, outcome, reason, delay ms, cost usd, session ('' as it is), 1 when the start is excused: it does not
-- count towards the cap on starts either (a limit or a stop; not an owner that died). Answers 'ok', or 'stale' when the lease is not the caller's (harmless).
local id = ARGV[1]
local r = redis.call('HMGET', task_key(id), 'token', 'state', 'cancel')
if r[1] ~= ARGV[2] or r[2] ~= 'running' then return 'stale' end
local delay, now = tonumber(ARGV[5]), now_ms()
drop_lease(id)
redis.call('HSET', task_key(id), 'outcome', ARGV[3], 'reason', ARGV[4])
add_cost(id, now, ARGV[6])
if ARGV[7] ~= '' then redis.call('HSET', task_key(id), 'session', ARGV[7]) end
if ARGV[8] == '1' then redis.call('HINCRBY', task_key(id), 'excused', 1) end
if r[3] then
  finish(id, now, 'cancelled', 'cancelled', 'cancelled by a person')
elseif delay > 0 then
  local due = now + delay
  redis.call('HSET', task_key(id), 'state', 'scheduled', 'due_ms', int(due))
  local queue = place(id)
  put_scheduled(id, queue, due)
else
  to_ready(id, true)
end
note('released', id, ARGV[3])
return 'ok'
