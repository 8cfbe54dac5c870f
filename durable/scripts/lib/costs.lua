-- What attempts cost: on the task, on the day for its budgets, and in the table of the day by model and source.
--   spent, spent_tokens      day -> USD, tokens that count for a budget (input, cache writes, output; not cache reads)
--   costs, costs:DAY         the days that have a table; what|model|source -> how much of it
--   unpriced                 id|attempt -> day, USD, tokens, owner: what was charged for a run whose end nobody saw
-- Costs travel as text, a line for each model: model usd input output cache_write cache_read.
local COUNTS = { 'input', 'output', 'cache_write', 'cache_read' }
local DAY_MS = 86400000

-- Days are those of the user's time zone, counted from 1970. Each claim brings the zone's present offset from UTC, so that
-- the day is exact when clocks change, too.
local function offset_ms() return call('HGET', P .. 'counters', 'offset_ms') or '0' end
function q.today() return math.floor((q.now_ms() + tonumber(offset_ms())) / DAY_MS) end
function q.set_offset(ms)
  if ms ~= '' and ms ~= offset_ms() then call('HSET', P .. 'counters', 'offset_ms', ms) end
end

local function rows_of(text)
  local rows = {}
  for line in string.gmatch(text, '[^\n]+') do
    local row = { string.match(line, '^(%S*) (%S+) (%d+) (%d+) (%d+) (%d+)$') }
    rows[#rows + 1] = { model = row[1], usd = tonumber(row[2]), counts = { unpack(row, 3) } }
  end
  return rows
end

local function add(key, field, by)
  if by ~= 0 then call('HINCRBY', key, field, string.format('%d', by)) end
end

local function add_usd(key, field, by)
  if by ~= 0 then call('HINCRBYFLOAT', key, field, string.format('%.9f', by)) end
end

-- The average of what recent runs took, in which the newest counts an eighth: a claim reserves as much.
local function learn(tokens)
  local before = tonumber(call('HGET', P .. 'counters', 'tokens_each') or tokens)
  call('HSET', P .. 'counters', 'tokens_each', string.format('%d', math.ceil(before + (tokens - before) / 8)))
end

-- `sign` is 1, or -1 to take back what was booked.
local function book(t, day, rows, sign)
  local counted, where = 0, P .. 'costs:' .. day
  for _, row in ipairs(rows) do
    local place, usd = '|' .. row.model .. '|' .. q.source_of(t), sign * row.usd
    add_usd(t.key, 'cost_usd', usd)
    add_usd(P .. 'spent', day, usd)
    add_usd(where, 'usd' .. place, usd)
    for n, what in ipairs(COUNTS) do
      local count = sign * tonumber(row.counts[n])
      add(t.key, what .. '_tokens', count)
      add(where, what .. place, count)
      if what ~= 'cache_read' then counted = counted + count end
    end
    add(where, 'attempts' .. place, sign)
  end
  add(P .. 'spent_tokens', day, counted)
  if #rows > 0 then call('ZADD', P .. 'costs', day, day) end
  return counted
end

-- What an attempt cost, once for its lease.
function q.add_costs(t, text)
  if text == '' then return end
  local counted = book(t, q.today(), rows_of(text), 1)
  if counted > 0 then learn(counted) end
end

-- Charged for a run without knowing its models.
local function charge_of(usd, tokens)
  if usd == 0 and tokens == 0 then return {} end
  return { { model = '', usd = usd, counts = { tokens, 0, 0, 0 } } }
end

-- The lease of a Claude task ends and nobody saw the end of its run: all that was reserved is booked, until somebody who
-- has the attempt's folder says what it really cost.
function q.charge(t)
  if t.kind == 'python' then return end
  local own = call('HMGET', t.key, 'attempt', 'owner')
  local usd, tokens, day = tonumber(t.run and t.reserved or 0), tonumber(t.run and t.reserved_tokens or 0), q.today()
  book(t, day, charge_of(usd, tokens), 1)
  add_usd(t.key, 'charged', usd)
  call('HSET', P .. 'unpriced', t.id .. '|' .. own[1], day .. ' ' .. usd .. ' ' .. tokens .. ' ' .. (own[2] or ''))
end

-- What was charged for an attempt gives way to what it cost; false when it has done so already.
function q.reprice(t, attempt, text)
  local place = t.id .. '|' .. attempt
  local charged = call('HGET', P .. 'unpriced', place)
  if not charged then return false end
  call('HDEL', P .. 'unpriced', place)
  if not t.state then return false end
  local day, usd, tokens = string.match(charged, '^(%S+) (%S+) (%S+)')
  book(t, day, charge_of(tonumber(usd), tonumber(tokens)), -1)
  add_usd(t.key, 'charged', -tonumber(usd))
  local rows = rows_of(text)
  local counted = book(t, day, rows, 1)
  if tonumber(attempt) <= (tonumber(call('HGET', t.key, 'attempts_before')) or 0) then
    for _, row in ipairs(rows) do add_usd(t.key, 'cost_before', row.usd) end
  end
  if counted > 0 then learn(counted) end
  return true
end

-- What a task has cost since a person last sent it in, as far as that is known: a charge is no price.
function q.cost_so_far(t)
  local r = call('HMGET', t.key, 'cost_usd', 'cost_before', 'charged')
  return math.max(0, (tonumber(r[1]) or 0) - (tonumber(r[2]) or 0) - (tonumber(r[3]) or 0))
end

-- The record goes: nobody will ask any more.
function q.forget_charges(t, attempts)
  if call('HLEN', P .. 'unpriced') == 0 then return end
  for n = 1, tonumber(attempts) or 0 do call('HDEL', P .. 'unpriced', t.id .. '|' .. n) end
end

-- Tables of long ago, a few at a time.
function q.forget_costs(days)
  local old = q.today() - days
  for _, day in ipairs(call('ZRANGEBYSCORE', P .. 'costs', '-inf', old, 'LIMIT', 0, 10)) do
    call('DEL', P .. 'costs:' .. day)
    call('ZREM', P .. 'costs', day)
    call('HDEL', P .. 'spent', day)
    call('HDEL', P .. 'spent_tokens', day)
  end
end
