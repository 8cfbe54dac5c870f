-- release: the attempt did not count; the task goes back to the head of its queue, or waits.
-- ARGV: id, token, outcome, reason, delay ms, costs, session ('' as it is), 1 when the start is excused: it does not
-- count towards the cap on starts either (a limit or a stop; not an owner that died).
-- Answers 'ok', or 'stale' when the lease is not the caller's (harmless).
function q.release(ARGV)
  local t = q.load(ARGV[1])
  if t.token ~= ARGV[2] or t.state ~= 'running' then return 'stale' end
  local delay = tonumber(ARGV[5])
  q.leave(t)
  q.add_costs(t, ARGV[6])
  q.set(t, 'outcome', ARGV[3])
  q.set(t, 'reason', ARGV[4])
  if ARGV[7] ~= '' then q.set(t, 'session', ARGV[7]) end
  if ARGV[8] == '1' then call('HINCRBY', t.key, 'excused', 1) end
  if t.cancel then
    q.finish(t, 'cancelled', 'cancelled', 'cancelled by a person')
  elseif delay > 0 then
    q.to_scheduled(t, q.now_ms() + delay)
  else
    q.to_ready(t, true)
  end
  q.note('released', t.id, ARGV[3])
  return 'ok'
end
