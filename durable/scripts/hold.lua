-- hold: a person puts a waiting task aside. ARGV: id, reason. Answers the state found ('missing' when there is none);
-- only a queued or scheduled task is moved.
local id = ARGV[1]
local state = redis.call('HGET', task_key(id), 'state')
if not state then return 'missing' end
if state == 'queued' or state == 'scheduled' then
  unlink(id)
  to_held(id, now_ms(), ARGV[2])
end
return state
