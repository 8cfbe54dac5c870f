-- settle: the attempt is over. The record moves, and what its end causes goes in, in one step.
-- ARGV: id, token, state (succeeded failed cancelled | scheduled = retry | held), outcome, reason, result ('' none),
--       due ms from now (retry), body ('' as it is), costs, session ('' as it is), number of tasks that follow, their
--       values (see insert), what a chord gets of it ('' nothing), number of values to store, then key, value each,
--       then keys of values to remove.
-- Answers {'ok', state}; the same token again gets the same answer; anybody else's gets {'stale', state}.
function q.settle(ARGV)
  local token, state, outcome, reason = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
  local t = q.load(ARGV[1], 'settled_token', 'settled_state')
  if t.more[1] == token then return { 'ok', t.more[2] } end
  if t.token ~= token or t.state ~= 'running' then return { 'stale', t.state or '' } end
  q.is_first = true

  if t.cancel and (state == 'scheduled' or state == 'held') then -- a person said: no more of it
    state, outcome, reason = 'cancelled', 'cancelled', 'cancelled by a person'
  end

  if t.probe and state == 'succeeded' and ARGV[9] ~= '' then q.open_scope(t.probe) end -- it has asked the API
  if t.cancel then q.drop_value('r:' .. t.id) end -- Huey's revoke of a running task; it is for once
  q.leave(t)
  q.set(t, 'settled_token', token)
  q.set(t, 'settled_state', state)
  q.add_costs(t, ARGV[9])
  if ARGV[6] ~= '' then q.set(t, 'result', ARGV[6]) end
  if ARGV[8] ~= '' then
    call('HSETNX', t.key, 'first_body', call('HGET', t.key, 'body') or '') -- for requeue: it has all retries
    q.set(t, 'body', ARGV[8])
    t.version = q.MESSAGE -- of this body, which is the caller's
    q.set(t, 'version', t.version)
  end
  if ARGV[10] ~= '' then q.set(t, 'session', ARGV[10]) end
  for n = 0, tonumber(ARGV[11]) - 1 do q.insert(ARGV, 12 + n * q.FIELDS) end
  local after = 12 + tonumber(ARGV[11]) * q.FIELDS
  local value, stored = ARGV[after], tonumber(ARGV[after + 1])
  for n = after + 2, after + 1 + 2 * stored, 2 do q.put_value(ARGV[n], ARGV[n + 1]) end
  for n = after + 2 + 2 * stored, #ARGV do q.drop_value(ARGV[n]) end

  if state == 'scheduled' then
    local due = q.now_ms() + tonumber(ARGV[7])
    call('HINCRBY', t.key, 'counted', 1)
    q.set(t, 'outcome', outcome)
    q.set(t, 'reason', reason)
    if due > q.now_ms() then q.to_scheduled(t, due) else q.to_ready(t) end
    q.note('retrying', t.id, outcome)
  elseif state == 'held' then
    q.set(t, 'outcome', outcome)
    q.to_held(t, reason)
  else
    q.finish(t, state, outcome, reason, value)
  end
  return { 'ok', state }
end
