-- requeue: a person sends a held, failed or cancelled task back into its queue, with its retries and its budget new.
-- ARGV: id, 1 when the next attempt is to go on where the last one ended; that of a held task does in any case. Answers the state found ('missing' when there is none); only these three states are moved.
function q.requeue(ARGV)
  local t = q.load(ARGV[1], 'attempt', 'first_body', 'cost_usd', 'charged')
  local found = t.state
  if not found then return 'missing' end
  if found == 'held' or found == 'failed' or found == 'cancelled' then
    q.leave(t)
    call('HDEL', t.key, 'result', 'finished_ms', 'first_body', 'refused')
    call('HDEL', P .. 'wanted:' .. t.source, t.id)
    if t.more[2] then q.set(t, 'body', t.more[2]) end
    for field, value in pairs({ counted = 0, excused = t.more[1] or 0, reason = '' }) do q.set(t, field, value) end
    if t.more[3] then -- without what is only charged: when that is priced, it is added (see reprice)
      q.set(t, 'cost_before', string.format('%.9f', tonumber(t.more[3]) - (tonumber(t.more[4]) or 0)))
    end
    q.set(t, 'attempts_before', t.more[1] or 0)
    if ARGV[2] ~= '1' and found ~= 'held' then q.set(t, 'outcome', '') end
    q.reopen_place(t.id)
    q.to_ready(t)
    q.note('requeued', t.id, found)
  end
  return found
end
