-- claim: the best task that this owner may run, with a lease on it.
-- ARGV: owner, nonce, lease ms, most starts without an end, what may be spent a day ('' no limit), what a task reserves
-- of that when it names nothing itself ('' nothing), 1 when the caller took a wake-up, then the queue names.
-- Answers {'lease', id, token, attempt, counted, body, kind, source, name, queue, token of the last settle,
-- how many of Huey's revocations there are of the task or of its name, 1 for a probe, usd charged for the run before}
-- or {'none', ms until something is due (-1: nothing), what keeps work back: '', 'gate' or 'budget'}.
-- The same nonce answers the same lease while it is held: a lost reply costs nothing.
local owner, nonce, lease_ms, cap, daily = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local now, mine = q.now_ms(), P .. 'nonce:' .. ARGV[1]
local MORE, BODY, NAME = { 'attempt', 'counted', 'excused', 'body', 'name', 'settled_token', 'budget' }, 4, 5

local function answer(t, token, attempt)
  local counted, name, settled = t.more[2] or '0', t.more[NAME] or '', t.more[6] or '0'
  return { 'lease', t.id, token, attempt, counted, t.more[BODY] or '', t.kind, t.source, name, t.queue, settled,
    call('EXISTS', P .. 'kv:r:' .. t.id, P .. 'kv:rt:' .. name), t.probe and 1 or 0, t.charged or '0' }
end

local function given_before()
  local last_nonce, token, id = string.match(call('GET', mine) or '', '^(%S+) (%d+) (.*)$')
  if last_nonce ~= nonce then return nil end
  local t = q.load(id, unpack(MORE))
  if t.token ~= token or not call('ZSCORE', P .. 'leases', id) then return nil end
  call('ZADD', P .. 'leases', 'XX', 'GT', q.int(now + lease_ms), id)
  call('HDEL', t.key, 'suspected')
  return answer(t, token, t.more[1])
end

local again = given_before()
if again then return again end

for _, id in ipairs(call('ZRANGEBYSCORE', P .. 'scheduled', '-inf', q.int(now), 'LIMIT', 0, 100)) do
  local t = q.load(id)
  call('ZREM', P .. 'scheduled', id)
  q.to_ready(t)
end

-- What the gate says of each scope: 'shut', 'probe' (one task may try), or nothing.
local closed, kept_back, next_ms = {}, '', nil
local gate = call('ZRANGE', P .. 'gate', 0, -1, 'WITHSCORES')
for n = 1, #gate, 2 do
  local scope, till = string.match(gate[n], '^([^|]*)|'), tonumber(gate[n + 1])
  if till > now then
    closed[scope] = 'shut'
    if till < math.huge and (not next_ms or till < next_ms) then next_ms = till end
  elseif string.sub(scope, 1, 7) ~= 'claude:' then
    q.open_entry(gate[n])
  else -- before any that still holds: they come in the order of their times
    closed[scope] = q.probe_of(scope) and 'shut' or 'probe'
  end
end

-- 'open', 'shut' or 'probe'
local function gate_of(kind)
  if closed.all then return 'shut' end
  if kind == 'python' then return 'open' end
  return closed.claude or closed[q.scope_of(kind)] or 'open'
end

local wanted = {}
for n = 8, #ARGV do wanted[ARGV[n]] = true end
local mine_lanes = {}
for _, lane in ipairs(q.lanes()) do
  local queue, kind = q.parts_of(lane)
  if wanted[queue] then mine_lanes[#mine_lanes + 1] = { key = q.ready_key(lane), kind = kind, lane = lane } end
end

local function best()
  local id, score, from
  for _, lane in ipairs(mine_lanes) do
    if not lane.passed then
      local head = call('ZRANGE', lane.key, 0, 0, 'WITHSCORES')
      if head[1] and gate_of(lane.kind) == 'shut' then
        lane.passed, kept_back = true, 'gate'
      elseif head[1] and (not score or tonumber(head[2]) < tonumber(score)) then
        id, score, from = head[1], head[2], lane
      end
    end
  end
  return id, score, from
end

-- What a Claude task reserves of the day's budget; false when it does not fit any more.
local function reservation(t)
  if not daily or t.kind == 'python' then return 0 end
  local own, held = math.min(tonumber(t.more[7] or ARGV[6]) or 0, daily), 0
  for _, usd in ipairs(call('HVALS', P .. 'reserved')) do held = held + tonumber(usd) end
  local left = daily - held - (tonumber(call('HGET', P .. 'spent', q.today()) or 0) or 0)
  if left <= 0 or own > left + 1e-9 then
    kept_back = held > 0 and 'gate' or 'budget' -- what others have reserved may fall free again
    return false
  end
  return own
end

local function lease(t, usd, score)
  local token, attempt = call('HINCRBY', P .. 'counters', 'token', 1), tonumber(t.more[1] or 0) + 1
  t.token = token
  for _, pair in ipairs({ { 'owner', owner }, { 'token', token }, { 'attempt', attempt }, { 'started_ms', q.int(now) } }) do
    q.set(t, pair[1], pair[2])
  end
  if gate_of(t.kind) == 'probe' then
    t.probe = q.scope_of(t.kind)
    q.set(t, 'probe', t.probe)
    call('HSET', P .. 'probes', t.probe, t.id)
  end
  if usd > 0 then
    q.set(t, 'reserved', usd)
    call('HSET', P .. 'reserved', t.id, usd)
  end
  q.become(t, 'running')
  call('ZADD', P .. 'leases', q.int(now + lease_ms), t.id)
  call('SET', mine, nonce .. ' ' .. token .. ' ' .. t.id, 'PX', 86400000)
  q.note('leased', t.id, owner)
  return answer(t, token, attempt)
end

-- What is left is somebody else's: the wake-up that was taken goes on.
local function wake_next()
  for _, lane in ipairs(mine_lanes) do
    if call('EXISTS', lane.key) == 1 then q.wake((q.parts_of(lane.lane))) end
  end
end

while true do
  local id, score, from = best()
  if not id then break end
  local t = q.load(id, unpack(MORE))
  local lost = tonumber(t.more[1] or 0) - tonumber(t.more[2] or 0) - tonumber(t.more[3] or 0)
  local usd = t.more[BODY] and lost < cap and reservation(t)
  if not t.more[BODY] then
    call('ZREM', from.key, id)
    q.set(t, 'created_ms', q.int(now))
    call('ZADD', P .. 'ids', 0, id)
    q.tally(t, 'in', 1)
    q.finish(t, 'failed', 'rejected', 'the queue held this id but no message for it')
  elseif lost >= cap then
    q.leave(t)
    q.to_held(t, 'started ' .. t.more[1] .. ' times without coming to an end; look at its attempts before ./baton retry')
  elseif not usd then
    from.passed = true
  else
    call('ZREM', from.key, id)
    if t.lock == '' or q.take_lock(t, score) then
      local leased = lease(t, usd)
      if ARGV[7] == '1' then wake_next() end
      return leased
    end
  end
end

local first = call('ZRANGE', P .. 'scheduled', 0, 0, 'WITHSCORES')[2]
if first and (not next_ms or tonumber(first) < next_ms) then next_ms = tonumber(first) end
return { 'none', q.int(next_ms and math.max(0, next_ms - now) or -1), kept_back }
