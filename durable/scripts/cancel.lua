-- cancel: a waiting task ends at once; a running one is marked, and its owner woken to stop it.
-- ARGV: id. Answers the state found, 'missing' when there is none.
function q.cancel(ARGV)
  local t = q.load(ARGV[1], 'owner')
  local found = t.state
  if not found then return 'missing' end
  if found == 'running' then
    call('HSET', t.key, 'cancel', 1, 'special', 1)
    call('ZADD', P .. 'poke:' .. (t.more[1] or ''), 0, 'beat')
  elseif found == 'queued' or found == 'scheduled' or found == 'held' then
    q.leave(t)
    q.waits_no_more(t)
    q.finish(t, 'cancelled', 'cancelled', 'cancelled by a person')
  end
  return found
end
