-- hold: a person puts a waiting task aside. ARGV: id, reason. Answers the state found ('missing' when there is none);
-- only a queued or scheduled task is moved.
function q.hold(ARGV)
  local t = q.load(ARGV[1])
  local found = t.state
  if not found then return 'missing' end
  if found == 'queued' or found == 'scheduled' then
    q.leave(t)
    q.waits_no_more(t)
    q.to_held(t, ARGV[2])
  end
  return found
end
