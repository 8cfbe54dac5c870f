-- hasten: a waiting task becomes the next of its priority. ARGV: id. Answers the state found ('missing' when there is
-- none); only a queued or scheduled task is moved.
local id = ARGV[1]
local state = redis.call('HGET', task_key(id), 'state')
if not state then return 'missing' end
if state == 'queued' or state == 'scheduled' then
  unlink(id)
  to_ready(id, true)
  note('hastened', id, '')
end
return state
