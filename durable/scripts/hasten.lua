-- hasten: a waiting task becomes the next of its priority. ARGV: id. Answers the state found ('missing' when there is
-- none); only a queued or scheduled task is moved.
function q.hasten(ARGV)
  local t = q.load(ARGV[1])
  local found = t.state
  if not found then return 'missing' end
  if found == 'queued' or found == 'scheduled' then
    q.leave(t)
    q.to_ready(t, true)
    q.note('hastened', t.id, '')
  end
  return found
end
