-- Loaded in front of every script: names of keys, the clock, and the few moves that several transitions share.
-- KEYS[1] is the prefix of all keys, one slot: {instance}:
-- Every script checks first and writes last: Lua in Redis has no rollback.
local P = KEYS[1]

local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function task_key(id) return P .. 'task:' .. id end
local function ready_key(queue, kind) return P .. 'ready:' .. queue .. ':' .. kind end

-- %.0f, because Lua writes numbers over 10^14 in scientific notation
local function int(n) return string.format('%.0f', n) end

-- A marker for BZPOPMIN: somebody should look. It carries no work.
local function wake(queue) redis.call('ZADD', P .. 'wake:' .. queue, 0, 'look') end

-- Lower scores run first: priority decides, then the order of arrival; a head insert goes before all of its priority.
local function put_ready(id, queue, kind, priority, at_head)
  local order
  if at_head then
    order = redis.call('HINCRBY', P .. 'counters', 'head', -1)
  else
    order = redis.call('HINCRBY', P .. 'counters', 'sequence', 1)
  end
  redis.call('SADD', P .. 'queues', queue)
  redis.call('ZADD', ready_key(queue, kind), int(-priority * 2 ^ 40 + order), id)
  wake(queue)
end

local function put_scheduled(id, queue, due)
  redis.call('SADD', P .. 'queues', queue)
  redis.call('ZADD', P .. 'scheduled', int(due), id)
  wake(queue)
end

-- Cutting the stream costs more than adding to it, so reap does that, every few seconds.
local function note(event, id, detail)
  redis.call('XADD', P .. 'events', '*', 'event', event, 'id', id, 'detail', detail or '')
end

-- queue, kind, priority of a record; defaults for one that a hand wrote without them
local function place(id)
  local r = redis.call('HMGET', task_key(id), 'queue', 'kind', 'priority')
  return r[1] or 'default', r[2] or 'python', tonumber(r[3] or '0') or 0
end

local function to_ready(id, at_head)
  local queue, kind, priority = place(id)
  redis.call('HSET', task_key(id), 'state', 'queued')
  put_ready(id, queue, kind, priority, at_head)
end

local function to_held(id, now, reason)
  redis.call('HSET', task_key(id), 'state', 'held', 'reason', reason)
  redis.call('ZADD', P .. 'held', int(now), id)
  note('held', id, reason)
end

-- Out of whatever structure a waiting task stands in.
local function unlink(id)
  local queue, kind = place(id)
  redis.call('ZREM', ready_key(queue, kind), id)
  redis.call('ZREM', P .. 'scheduled', id)
  redis.call('ZREM', P .. 'held', id)
end

local function drop_lease(id)
  redis.call('ZREM', P .. 'leases', id)
  redis.call('HDEL', task_key(id), 'suspected', 'owner', 'run', 'cancel')
end

local step_chord -- at the end of this file: it puts a task in

-- `value` is what a chord gets of this member, '' for nothing (it never ran).
local function finish(id, now, state, outcome, reason, value)
  redis.call('HSET', task_key(id), 'state', state, 'outcome', outcome, 'reason', reason, 'finished_ms', int(now))
  redis.call('ZADD', P .. 'finished:' .. state, int(now), id)
  redis.call('PUBLISH', P .. 'done:' .. id, state)
  note(state, id, outcome)
  step_chord(id, now, state, value or '')
end

-- What an attempt cost, on its task and on the day (UTC, days since 1970) for the budget.
local function add_cost(id, now, usd)
  if tonumber(usd) > 0 then
    redis.call('HINCRBYFLOAT', task_key(id), 'cost_usd', usd)
    redis.call('HINCRBYFLOAT', P .. 'spent', int(math.floor(now / 86400000)), usd)
  end
end

-- The id that stands for a task already, by its id or by its key; nil when it is new.
local function standing(id, key)
  if redis.call('EXISTS', task_key(id)) == 1 then return id end
  return key ~= '' and redis.call('HGET', P .. 'keys', key) or nil
end

-- One task in, unless its id or key is known. ARGV[i..i+8]: id key kind queue priority due_ms source name body.
-- Answers the id that stands for it and 1 when it is new, else 0.
local FIELDS = 9
local function insert(i, now)
  local id, key, kind, queue = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local priority, due = tonumber(ARGV[i + 4]), tonumber(ARGV[i + 5])
  local known = standing(id, key)
  if known then return known, 0 end
  if key ~= '' then
    redis.call('HSET', P .. 'keys', key, id)
    redis.call('ZADD', P .. 'keys:age', int(now), key)
  end
  local later = due > now
  redis.call('HSET', task_key(id), 'state', later and 'scheduled' or 'queued', 'kind', kind, 'queue', queue,
    'priority', int(priority), 'key', key, 'source', ARGV[i + 6], 'name', ARGV[i + 7], 'body', ARGV[i + 8],
    'created_ms', int(now), 'due_ms', int(due), 'attempt', 0, 'counted', 0)
  redis.call('ZADD', P .. 'ids', 0, id)
  if later then put_scheduled(id, queue, due) else put_ready(id, queue, kind, priority, false) end
  note('submitted', id, ARGV[i + 6])
  return id, 1
end

-- A member of a chord has ended: its value is kept under its place, so that no repeat counts twice; with the last one the
-- callback goes in. The values are JSON that was written elsewhere; they are joined as text, never re-encoded.
local function fire_chord(chord, now)
  local values = {}
  for n = 0, tonumber(redis.call('HGET', chord, 'size')) - 1 do
    values[n + 1] = redis.call('HGET', chord .. ':values', n)
  end
  local around = redis.call('HMGET', chord, 'head', 'tail')
  local callback = redis.call('LRANGE', chord .. ':callback', 0, -1)
  callback[FIELDS] = around[1] .. table.concat(values, ',') .. around[2]
  local at = #ARGV + 1 -- insert reads there; taken away again, since some scripts read ARGV to its end
  for n = 1, FIELDS do ARGV[at + n - 1] = callback[n] end
  insert(at, now)
  for n = at + FIELDS - 1, at, -1 do ARGV[n] = nil end
  for _, id in ipairs(redis.call('SMEMBERS', chord .. ':ids')) do redis.call('HDEL', P .. 'chords', id) end
  redis.call('DEL', chord, chord .. ':values', chord .. ':callback', chord .. ':ids')
end

function step_chord(id, now, state, value)
  local found = redis.call('HGET', P .. 'chords', id)
  if not found then return end
  local member = cjson.decode(found)
  local chord = P .. 'chord:' .. member[1]
  if state == 'succeeded' and member[3] ~= '1' then return end -- the pipeline goes on
  if value == '' then value = redis.call('HGET', chord, 'skipped') end
  redis.call('HSET', chord .. ':values', member[2], value)
  if redis.call('HLEN', chord .. ':values') == tonumber(redis.call('HGET', chord, 'size')) then fire_chord(chord, now) end
end

-- A member that a person sends back before its chord is full: its place is open again.
local function reopen_place(id)
  local found = redis.call('HGET', P .. 'chords', id)
  if not found then return end
  local member = cjson.decode(found)
  redis.call('HDEL', P .. 'chord:' .. member[1] .. ':values', member[2])
end

-- Huey's own values (results of tasks that never ran, revocations, locks), and their names with the ms at which a result
-- came in, for retention; 0 for the others, which stay until somebody removes them.
local function put_value(key, value, now)
  redis.call('SET', P .. 'kv:' .. key, value)
  redis.call('ZADD', P .. 'kv', int(now), key)
  redis.call('PUBLISH', P .. 'done:' .. key, 'value')
end

local function drop_value(key)
  redis.call('DEL', P .. 'kv:' .. key)
  redis.call('ZREM', P .. 'kv', key)
end
