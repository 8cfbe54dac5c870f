-- claim: the best task that this owner may run, with a lease on it.
-- ARGV: owner, nonce, lease ms, most starts without an end, USD that may be spent a day ('' no limit), what a task may cost
-- when it names nothing itself ('' no limit), tokens a day ('' no limit), the ms by which the user's zone is ahead of UTC
-- ('' as before), 1 when the caller took a wake-up, then the queue names.
-- Answers {'lease', id, token, attempt, counted, body, kind, source, name, queue, token of the last settle,
-- how many of Huey's revocations there are of the task or of its name, 1 for a probe, what the attempt before came to, '' for a fresh start}
-- or {'none', ms until something is due (-1: nothing), what keeps work back: '', 'gate', 'budget' or 'token budget', the
-- id of the task that does not fit into what is left of a budget}.
-- The same nonce answers the same lease while it is held: a lost reply costs nothing.
local MORE, ATTEMPT, COUNTED, EXCUSED, BODY, NAME, SETTLED, COST, OUTCOME =
  { 'attempt', 'counted', 'excused', 'body', 'name', 'settled_token', 'budget', 'outcome' }, 1, 2, 3, 4, 5, 6, 7, 8

local function answer(t, token, attempt)
  local more = t.more
  local name = more[NAME] or ''
  return { 'lease', t.id, token, attempt, more[COUNTED] or '0', more[BODY] or '', t.kind, t.source, name, t.queue,
    more[SETTLED] or '0', call('EXISTS', P .. 'kv:r:' .. t.id, P .. 'kv:rt:' .. name), t.probe and 1 or 0,
    more[OUTCOME] or '' }
end

-- What this nonce was answered, while that lease is held.
local function given_before(owner, nonce, lease_ms)
  local last = call('GET', P .. 'nonce:' .. owner)
  if not last or string.sub(last, 1, #nonce + 1) ~= nonce .. ' ' then return nil end
  local token, id = string.match(last, '^%S+ (%d+) (.*)$')
  local t = q.load(id, unpack(MORE))
  if t.token ~= token or not call('ZSCORE', P .. 'leases', id) then return nil end
  call('ZADD', P .. 'leases', 'XX', 'GT', q.now_ms() + lease_ms, id)
  call('HDEL', t.key, 'suspected')
  return answer(t, token, t.more[ATTEMPT])
end

local function move_due()
  for _, id in ipairs(call('ZRANGEBYSCORE', P .. 'scheduled', '-inf', q.now_ms(), 'LIMIT', 0, 100)) do
    local t = q.load(id)
    call('ZREM', P .. 'scheduled', id)
    q.to_ready(t)
  end
end

-- What the gate says of each scope, 'shut' or 'probe' (one task may try), and when the first of it changes (ms).
local function read_gate()
  local closed, next_ms = {}, nil
  local gate, now = call('ZRANGE', P .. 'gate', 0, -1, 'WITHSCORES'), q.now_ms()
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
  return closed, next_ms
end

-- 'shut', 'probe', or nil where it is open
local function gate_of(closed, kind)
  if closed.all then return 'shut' end
  if kind == 'python' then return nil end
  return closed.claude or closed[q.scope_of(kind)]
end

-- The lanes of the owner's queues, each with what the gate says of it.
local function lanes_of(args, closed)
  local wanted, found = {}, {}
  for n = 10, #args do wanted[args[n]] = true end
  for _, lane in ipairs(q.lanes()) do
    local queue, kind, version = q.parts_of(lane)
    if wanted[queue] and version <= q.MESSAGE then
      found[#found + 1] = { key = q.ready_key(lane), queue = queue, gate = gate_of(closed, kind) }
    end
  end
  return found
end

-- The best task that stands ready, its score and its lane; `why.kept_back` says when the gate keeps one from that.
local function best(lanes, why)
  local id, score, from
  for _, lane in ipairs(lanes) do
    local head = not lane.passed and call('ZRANGE', lane.key, 0, 0, 'WITHSCORES') or {}
    if head[1] and lane.gate == 'shut' then
      lane.passed, why.kept_back = true, 'gate'
    elseif head[1] and (not score or tonumber(head[2]) < tonumber(score)) then
      id, score, from = head[1], head[2], lane
    end
  end
  return id, score, from
end

local function reserved_of(key)
  local held = 0
  for _, amount in ipairs(call('HVALS', P .. key)) do held = held + tonumber(amount) end
  return held
end

-- What is left to a task of its own budget, or of the usual one; nothing where it has no limit.
local function own_usd(t, args) return math.max(0, (tonumber(t.more[COST] or args[6]) or 0) - q.cost_so_far(t)) end

-- Why a task fits into no day: it names more for itself than all of one. What is merely usual never is.
local function too_much(t, args)
  local daily = tonumber(args[5])
  if t.kind == 'python' or not daily or not t.more[COST] then return nil end
  local own = own_usd(t, args)
  if own <= daily + 1e-9 then return nil end
  return string.format('it may cost %.2f USD (max_budget_usd), more than all of a day (budget_usd_per_day: %.2f); '
    .. 'raise that in baton.yaml, run ./baton up, then ./baton retry %s', own, daily, string.sub(t.id, 1, 8))
end

-- Whether `own` fits into what is left of a day; `why` says what the task waits for when it does not.
local function fits(t, own, daily, spent, reserved, reason, why)
  local held = reserved_of(reserved)
  local left = daily - held - (tonumber(call('HGET', P .. spent, q.today()) or 0) or 0)
  if left > 0 and own <= left + 1e-9 then return true end
  why.kept_back, why.task = held > 0 and 'gate' or reason, t.id -- what others have reserved may fall free again
  return false
end

-- What a Claude task reserves of the day's budgets, USD and tokens; nil when it does not fit any more. In tokens it is
-- the average of recent runs; before any is known all of the day, so that the first one runs alone.
local function reservation(t, args, why)
  local daily, daily_tokens, usd, tokens = tonumber(args[5]), tonumber(args[7]), 0, 0
  if t.kind == 'python' then return 0, 0 end
  if daily then
    usd = math.min(own_usd(t, args), daily)
    if not fits(t, usd, daily, 'spent', 'reserved', 'budget', why) then return nil end
  end
  if daily_tokens then
    tokens = math.min(tonumber(call('HGET', P .. 'counters', 'tokens_each')) or daily_tokens, daily_tokens)
    if not fits(t, tokens, daily_tokens, 'spent_tokens', 'reserved_tokens', 'token budget', why) then return nil end
  end
  return usd, tokens
end

local function lease(t, from, usd, tokens, args)
  local owner, nonce, now = args[1], args[2], q.now_ms()
  local token, attempt = call('HINCRBY', P .. 'counters', 'token', 1), tonumber(t.more[ATTEMPT] or 0) + 1
  t.news = { 'owner', owner, 'token', token, 'attempt', attempt, 'started_ms', now }
  if from.gate == 'probe' then
    t.probe = q.scope_of(t.kind)
    q.set_special(t, 'probe', t.probe)
    call('HSET', P .. 'probes', t.probe, t.id)
  end
  if usd > 0 then
    q.set_special(t, 'reserved', usd)
    call('HSET', P .. 'reserved', t.id, usd)
  end
  if tokens > 0 then
    q.set_special(t, 'reserved_tokens', tokens)
    call('HSET', P .. 'reserved_tokens', t.id, tokens)
  end
  q.become(t, 'running')
  call('ZADD', P .. 'leases', now + tonumber(args[3]), t.id)
  call('SET', P .. 'nonce:' .. owner, nonce .. ' ' .. token .. ' ' .. t.id, 'PX', 86400000)
  q.note('leased', t.id, owner)
  return answer(t, token, attempt)
end

-- What is left is somebody else's: the wake-up that was taken goes on.
local function wake_next(lanes)
  for _, lane in ipairs(lanes) do
    if call('EXISTS', lane.key) == 1 then q.wake(lane.queue) end
  end
end

-- One candidate: its lease, or nil and it stands elsewhere, or its lane is passed over.
local function try(id, score, from, args, why)
  local t = q.load(id, unpack(MORE))
  local more = t.more
  if not more[BODY] then
    call('ZREM', from.key, id)
    q.set(t, 'created_ms', q.now_ms())
    call('ZADD', P .. 'ids', 0, id)
    q.tally(t, 'in', 1)
    q.finish(t, 'failed', 'rejected', 'the queue held this id but no message for it')
    return nil
  end
  if tonumber(more[ATTEMPT] or 0) - tonumber(more[COUNTED] or 0) - tonumber(more[EXCUSED] or 0) >= tonumber(args[4]) then
    q.leave(t)
    local often = 'started ' .. more[ATTEMPT] .. ' times without coming to an end'
    q.to_held(t, often .. '; look at its attempts before ./baton retry')
    return nil
  end
  local never = too_much(t, args)
  if never then
    q.leave(t)
    q.to_held(t, never)
    return nil
  end
  local usd, tokens = reservation(t, args, why)
  if not usd then
    from.passed = true
    return nil
  end
  call('ZREM', from.key, id)
  if t.lock ~= '' and not q.take_lock(t, score) then return nil end
  return lease(t, from, usd, tokens, args)
end

function q.claim(ARGV)
  local again = not q.is_first and given_before(ARGV[1], ARGV[2], tonumber(ARGV[3]))
  if again then return again end
  q.set_offset(ARGV[8])
  move_due()
  local closed, next_ms = read_gate()
  local lanes, why = lanes_of(ARGV, closed), { kept_back = '', task = '' }
  local id, score, from = best(lanes, why)
  while id do
    local found = try(id, score, from, ARGV, why)
    if found then
      if ARGV[9] == '1' then wake_next(lanes) end
      return found
    end
    id, score, from = best(lanes, why)
  end
  local first = tonumber(call('ZRANGE', P .. 'scheduled', 0, 0, 'WITHSCORES')[2])
  if first and (not next_ms or first < next_ms) then next_ms = first end
  return { 'none', next_ms and math.max(0, next_ms - q.now_ms()) or -1, why.kept_back, why.task }
end
