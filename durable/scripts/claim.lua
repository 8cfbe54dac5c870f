-- claim: the best task that this owner may run, with a lease on it.
-- ARGV: owner, nonce, lease ms, most starts without an end, then the queue names.
-- Answers {'lease', id, token, attempt, counted, body, kind, source, name, queue, token of the last settle,
-- how many of Huey's revocations there are, of the task or of its name}
-- or {'none', ms until the next scheduled task (-1: none), 1 when the gate keeps something back}.
-- The same nonce answers the same lease while it is held: a lost reply costs nothing.
local owner, nonce, lease_ms, cap = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local now = now_ms()

local function lease_of(id)
  local r = redis.call('HMGET', task_key(id), 'token', 'attempt', 'counted', 'body', 'kind', 'source', 'name', 'queue',
    'settled_token')
  return { 'lease', id, r[1], r[2], r[3] or '0', r[4] or '', r[5] or 'python', r[6] or '', r[7] or '', r[8] or 'default',
    r[9] or '0', redis.call('EXISTS', P .. 'kv:r:' .. id, P .. 'kv:rt:' .. (r[7] or '')) }
end

local last = redis.call('HMGET', P .. 'owner:' .. owner, 'nonce', 'id', 'token')
if last[1] == nonce and redis.call('HGET', task_key(last[2]), 'token') == last[3]
    and redis.call('ZSCORE', P .. 'leases', last[2]) then
  redis.call('ZADD', P .. 'leases', 'XX', 'GT', int(now + lease_ms), last[2])
  redis.call('HDEL', task_key(last[2]), 'suspected')
  return lease_of(last[2])
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'scheduled', '-inf', now, 'LIMIT', 0, 100)) do
  redis.call('ZREM', P .. 'scheduled', id)
  to_ready(id, false)
end

for _, entry in ipairs(redis.call('ZRANGEBYSCORE', P .. 'gate', '-inf', now)) do
  redis.call('ZREM', P .. 'gate', entry)
  redis.call('HDEL', P .. 'gate:info', entry)
  note('gate opened', '', entry)
end
local paused, limited = false, false
for _, entry in ipairs(redis.call('ZRANGE', P .. 'gate', 0, -1)) do
  if string.sub(entry, 1, 4) == 'all|' then paused = true else limited = true end
end

local function best()
  local id, score, from
  for i = 5, #ARGV do
    for _, kind in ipairs({ 'python', 'claude' }) do
      if not (kind == 'claude' and limited) then
        local key = ready_key(ARGV[i], kind)
        local head = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
        if head[1] and (not score or tonumber(head[2]) < score) then
          id, score, from = head[1], tonumber(head[2]), key
        end
      end
    end
  end
  return id, from
end

local function waiting_ms()
  local first = nil
  for _, key in ipairs({ 'scheduled', 'gate' }) do
    local score = redis.call('ZRANGE', P .. key, 0, 0, 'WITHSCORES')[2]
    if score and score ~= 'inf' and (not first or tonumber(score) < first) then first = tonumber(score) end
  end
  return first and math.max(0, first - now) or -1
end

while not paused do
  local id, from = best()
  if not id then break end
  redis.call('ZREM', from, id)
  local r = redis.call('HMGET', task_key(id), 'state', 'attempt', 'counted', 'body', 'excused')
  local attempt, counted, excused = tonumber(r[2] or '0'), tonumber(r[3] or '0'), tonumber(r[5] or '0')
  if not r[4] then
    redis.call('HSET', task_key(id), 'created_ms', int(now))
    redis.call('ZADD', P .. 'ids', 0, id)
    finish(id, now, 'failed', 'rejected', 'the queue held this id but no message for it')
  elseif attempt - counted - excused >= cap then
    to_held(id, now, 'started ' .. attempt .. ' times without coming to an end; look at its attempts before ./baton retry')
  else
    local token = redis.call('HINCRBY', P .. 'counters', 'token', 1)
    redis.call('HSET', task_key(id), 'state', 'running', 'owner', owner, 'token', token, 'attempt', attempt + 1,
      'started_ms', int(now))
    redis.call('ZADD', P .. 'leases', int(now + lease_ms), id)
    redis.call('HSET', P .. 'owner:' .. owner, 'nonce', nonce, 'id', id, 'token', token)
    redis.call('PEXPIRE', P .. 'owner:' .. owner, 86400000)
    for i = 5, #ARGV do
      if redis.call('EXISTS', ready_key(ARGV[i], 'python'), ready_key(ARGV[i], 'claude')) > 0 then wake(ARGV[i]) end
    end
    note('leased', id, owner)
    return lease_of(id)
  end
end
return { 'none', int(waiting_ms()), (paused or limited) and 1 or 0 }
