-- settle: the attempt is over. The record moves, and what its end causes goes in, in one step.
-- ARGV: id, token, state (succeeded failed cancelled | scheduled = retry | held), outcome, reason, result ('' none),
--       due ms from now (retry), body ('' as it is), cost usd, session ('' as it is), number of tasks that follow, nine values each,
--       what a chord gets of it ('' nothing), number of values to store, then key, value each, then keys of values to remove.
-- Answers {'ok', state}; the same token again gets the same answer; anybody else's gets {'stale', state}.
local id, token, state, outcome, reason = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local key = task_key(id)
local r = redis.call('HMGET', key, 'token', 'state', 'settled_token', 'settled_state', 'cancel')
if r[3] == token then return { 'ok', r[4] } end
if r[1] ~= token or r[2] ~= 'running' then return { 'stale', r[2] or '' } end

if r[5] and (state == 'scheduled' or state == 'held') then -- a person said: no more of it
  state, outcome, reason = 'cancelled', 'cancelled', 'cancelled by a person'
end

local now = now_ms()
drop_lease(id)
drop_value('r:' .. id) -- as Huey does at the end of a body: a revocation is for once
redis.call('HSET', key, 'settled_token', token, 'settled_state', state)
add_cost(id, now, ARGV[9])
if ARGV[6] ~= '' then redis.call('HSET', key, 'result', ARGV[6]) end
if ARGV[8] ~= '' then redis.call('HSET', key, 'body', ARGV[8]) end
if ARGV[10] ~= '' then redis.call('HSET', key, 'session', ARGV[10]) end
for n = 0, tonumber(ARGV[11]) - 1 do insert(12 + n * FIELDS, now) end
local after = 12 + tonumber(ARGV[11]) * FIELDS
local value, stored = ARGV[after], tonumber(ARGV[after + 1])
for n = after + 2, after + 1 + 2 * stored, 2 do put_value(ARGV[n], ARGV[n + 1], now) end
for n = after + 2 + 2 * stored, #ARGV do drop_value(ARGV[n]) end

if state == 'scheduled' then
  local due = now + tonumber(ARGV[7])
  redis.call('HINCRBY', key, 'counted', 1)
  redis.call('HSET', key, 'state', 'scheduled', 'due_ms', int(due), 'outcome', outcome, 'reason', reason)
  if due > now then
    local queue = place(id)
    put_scheduled(id, queue, due)
  else
    to_ready(id, false)
  end
  note('retrying', id, outcome)
elseif state == 'held' then
  redis.call('HSET', key, 'outcome', outcome)
  to_held(id, now, reason)
else
  finish(id, now, state, outcome, reason, value)
end
return { 'ok', state }
