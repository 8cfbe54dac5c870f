-- A task in a script: what its record says, what is to be written about it (gathered, and written once), and its moves
-- from one structure to another. Each id stands in exactly one, the one that its state names.
function q.task_key(id) return P .. 'task:' .. id end

-- What few tasks have is looked up only for those that have any of it: they have the field `special`.
local function load_special(t)
  local r = call('HMGET', t.key, 'lock', 'cancel', 'probe', 'reserved', 'reserved_tokens', 'run', 'suspected')
  t.lock, t.cancel, t.probe, t.reserved, t.reserved_tokens, t.run, t.suspected = r[1] or '', unpack(r, 2)
end

-- `more` are names of further fields; their values follow in t.more.
function q.load(id, ...)
  local key = q.task_key(id)
  local r = call('HMGET', key, 'state', 'token', 'queue', 'kind', 'priority', 'source', 'special', 'version', ...)
  local t = { id = id, key = key, state = r[1], token = r[2], queue = r[3] or 'default', kind = r[4] or 'python',
    priority = tonumber(r[5] or 0) or 0, source = r[6] or '', lock = '', version = tonumber(r[8] or nil) or 1,
    more = { unpack(r, 9) }, news = {} }
  if r[7] then load_special(t) end
  return t
end

function q.set(t, field, value)
  local n = #t.news
  t.news[n + 1], t.news[n + 2] = field, value
end

-- Of the fields that few tasks have.
function q.set_special(t, field, value)
  q.set(t, field, value)
  q.set(t, 'special', 1)
end

function q.save(t)
  if #t.news > 0 then call('HSET', t.key, unpack(t.news)) end
  t.news = {}
end

-- What follows from a task counts as one source together.
function q.source_of(t) return string.sub(t.source, 1, 5) == 'task:' and 'task' or t.source end

-- How many tasks of each source came in, ended and are held.
function q.tally(t, word, by) call('HINCRBY', P .. 'sources', q.source_of(t) .. '|' .. word, by) end

function q.become(t, state)
  t.state = state
  q.set(t, 'state', state)
  q.save(t)
end

-- Lower scores run first: priority decides, then the order of arrival; a head insert goes before all of its priority.
function q.to_ready(t, at_head)
  local order = at_head and call('HINCRBY', P .. 'counters', 'head', -1) or call('HINCRBY', P .. 'counters', 'sequence', 1)
  local score, lane = -t.priority * 2 ^ 40 + order, q.lane_of(t)
  q.become(t, 'queued')
  call('SADD', P .. 'lanes', lane)
  if t.lock ~= '' then return q.line_up(t, score) end
  call('ZADD', q.ready_key(lane), score, t.id)
  q.wake(t.queue)
end

function q.to_scheduled(t, due)
  q.set(t, 'due_ms', due)
  q.become(t, 'scheduled')
  call('SADD', P .. 'lanes', q.lane_of(t))
  call('ZADD', P .. 'scheduled', due, t.id)
  q.wake(t.queue)
end

function q.to_held(t, reason)
  q.set(t, 'reason', reason)
  q.become(t, 'held')
  q.tally(t, 'held', 1)
  call('ZADD', P .. 'held', q.now_ms(), t.id)
  q.note('held', t.id, reason)
  q.note_trouble(t, 'held', '', reason)
end

-- `value` is what a chord gets of this member, '' for nothing (it never ran).
function q.finish(t, state, outcome, reason, value)
  local now = q.now_ms()
  q.set(t, 'outcome', outcome)
  q.set(t, 'reason', reason)
  q.set(t, 'finished_ms', now)
  q.become(t, state)
  q.tally(t, state, 1)
  call('ZADD', P .. 'finished:' .. state, now, t.id)
  call('PUBLISH', P .. 'done:' .. t.id, state)
  q.note(state, t.id, outcome)
  if state == 'failed' then q.note_trouble(t, state, outcome, reason) end
  q.step_chord(t, value or '')
end

-- The lease is over, and with it all that it gave: the lock, the right to probe, the reservation.
function q.end_lease(t)
  call('ZREM', P .. 'leases', t.id)
  if t.cancel or t.run or t.suspected then call('HDEL', t.key, 'cancel', 'run', 'suspected') end
  if t.lock ~= '' then q.free_lock(t) end
  if t.probe then q.end_probe(t) end
  if t.reserved or t.reserved_tokens then
    call('HDEL', t.key, 'reserved', 'reserved_tokens')
    call('HDEL', P .. 'reserved', t.id)
    call('HDEL', P .. 'reserved_tokens', t.id)
    q.wake_all() -- somebody may have waited for that part of the day's budget
  end
end

-- Out of the structure in which the task stands.
function q.leave(t)
  if t.state == 'running' then return q.end_lease(t) end
  if t.state == 'queued' then
    call('ZREM', q.ready_key(q.lane_of(t)), t.id)
    if t.lock ~= '' then q.leave_line(t) end
  elseif t.state == 'scheduled' or t.state == 'held' then
    call('ZREM', P .. t.state, t.id)
    if t.state == 'held' then
      q.tally(t, 'held', -1)
      q.note_relief(t, 'held')
    end
  else
    call('ZREM', P .. 'finished:' .. t.state, t.id)
    q.tally(t, t.state, -1)
    if t.state == 'failed' then q.note_relief(t, 'failed') end
  end
end

-- The id that stands for a task already, by its id or by its key; nil when it is new.
function q.standing(id, key)
  if call('EXISTS', q.task_key(id)) == 1 then return id end
  return key ~= '' and call('HGET', P .. 'keys', key) or nil
end

-- From now on the key stands for the task with this id.
function q.keep_identity(key, id)
  if key == '' then return end
  call('HSET', P .. 'keys', key, id)
  call('ZADD', P .. 'keys:age', q.now_ms(), key)
end

-- One task in, unless its id or key is known.
-- a[i..i+12]: id key kind queue priority due_ms source name body lock budget version by.
-- Answers the id that stands for it and 1 when it is new, else 0.
q.FIELDS = 13
function q.insert(a, i)
  local id, key, due, now = a[i], a[i + 1], tonumber(a[i + 5]), q.now_ms()
  local known = q.standing(id, key)
  if known then return known, 0 end
  q.keep_identity(key, id)
  local t = { id = id, key = q.task_key(id), kind = a[i + 2], queue = a[i + 3], priority = tonumber(a[i + 4]),
    source = a[i + 6], lock = a[i + 9] or '', version = tonumber(a[i + 11] or nil) or 1 } -- a chord of an older version has fewer values
  t.news = { 'kind', t.kind, 'queue', t.queue, 'priority', t.priority, 'key', key, 'source', t.source, 'name', a[i + 7],
    'body', a[i + 8], 'created_ms', now, 'attempt', 0, 'counted', 0, 'version', t.version }
  if t.lock ~= '' then q.set_special(t, 'lock', t.lock) end
  if (a[i + 10] or '') ~= '' then q.set(t, 'budget', a[i + 10]) end
  if (a[i + 12] or '') ~= '' then q.set(t, 'by', a[i + 12]) end
  call('ZADD', P .. 'ids', 0, id)
  q.tally(t, 'in', 1)
  if due > now then q.to_scheduled(t, due) else q.to_ready(t) end
  q.note('submitted', id, t.source)
  return id, 1
end
