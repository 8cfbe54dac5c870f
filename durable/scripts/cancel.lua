-- cancel: a waiting task ends at once; a running one is marked, and its owner woken to stop it.
-- ARGV: id. Answers the state found, 'missing' when there is none.
local id, now = ARGV[1], now_ms()
local r = redis.call('HMGET', task_key(id), 'state', 'owner')
local state = r[1]
if not state then return 'missing' end
if state == 'running' then
  redis.call('HSET', task_key(id), 'cancel', 1)
  redis.call('ZADD', P .. 'poke:' .. (r[2] or ''), 0, 'beat')
elseif state == 'queued' or state == 'scheduled' or state == 'held' then
  unlink(id)
  finish(id, now, 'cancelled', 'cancelled', 'cancelled by a person')
end
return state
