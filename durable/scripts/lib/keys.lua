-- Loaded in front of every script, first of all: names of keys, the clock, and the few words that all of them say.
-- KEYS[1] is the prefix of all keys, one slot: {instance}:
-- Every script checks first and writes last: Lua in Redis has no rollback.
-- All functions of the library are fields of q: a closure costs by the locals that it captures, and these run anew with
-- every call of a script.
local P, call, q = KEYS[1], redis.call, {}

local read_clock
function q.now_ms()
  if not read_clock then
    local t = call('TIME')
    read_clock = t[1] * 1000 + math.floor(t[2] / 1000)
  end
  return read_clock
end

-- %.0f, because Lua writes numbers over 10^14 in scientific notation
function q.int(n) return string.format('%.0f', n) end

-- A marker for BZPOPMIN: somebody should look. It carries no work.
function q.wake(queue) call('ZADD', P .. 'wake:' .. queue, 0, 'look') end

-- Cutting the stream costs more than adding to it, so reap does that, every few seconds.
function q.note(event, id, detail) call('XADD', P .. 'events', '*', 'event', event, 'id', id, 'detail', detail or '') end

-- A lane is what a consumer may take from as a whole: one queue, and one kind of task (python, claude, or claude:NAME for
-- those with a credential of their own). It is written queue|kind.
function q.lane_of(t) return t.queue .. '|' .. t.kind end
function q.parts_of(lane) return string.match(lane, '^(.*)|([^|]*)$') end
function q.ready_key(lane)
  local queue, kind = q.parts_of(lane)
  return P .. 'ready:' .. queue .. ':' .. kind
end
function q.lanes() return call('SMEMBERS', P .. 'lanes') end

function q.wake_all()
  for _, lane in ipairs(q.lanes()) do q.wake((q.parts_of(lane))) end
end

-- Huey's own values (results of tasks that never ran, revocations, locks), and their names with the ms at which a result
-- came in, for retention; 0 for the others, which stay until somebody removes them.
function q.put_value(key, value)
  call('SET', P .. 'kv:' .. key, value)
  call('ZADD', P .. 'kv', q.int(q.now_ms()), key)
  call('PUBLISH', P .. 'done:' .. key, 'value')
end

function q.drop_value(key)
  call('DEL', P .. 'kv:' .. key)
  call('ZREM', P .. 'kv', key)
end
