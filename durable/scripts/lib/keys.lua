-- What every transition uses, first of all: names of keys, the clock, and the few words that all of them say.
-- The whole is one library of functions, loaded once into the server; its functions are fields of q.
-- Every transition checks first and writes last: Lua in Redis has no rollback.
local q = {}
local P -- the prefix of all keys, one slot: {instance}:
local call -- redis.call, which is not there yet while the library is loaded
local clock

-- At the beginning of each call. Answers an error, and nothing is done, when the data are of a later format: a program
-- that was started before a newer one came must stop as one that starts now. `dataset` says so in its own words.
function q.begin(prefix, name)
  P, call, clock = prefix, redis.call, nil
  q.is_first = false -- whether a settle in the same step was the first of its token: then the rest is new as well
  local format = tonumber(call('HGET', P .. 'dataset', 'format') or nil)
  if format and format > q.FORMAT and name ~= 'dataset' then
    return redis.error_reply('NEWERDATA written by a newer Baton (format ' .. format .. ', this one knows ' .. q.FORMAT
      .. '): upgrade this machine')
  end
end

function q.now_ms()
  if not clock then
    local t = call('TIME')
    clock = t[1] * 1000 + math.floor(t[2] / 1000)
  end
  return clock
end

-- A marker for BZPOPMIN: somebody should look. It carries no work.
function q.wake(queue) call('ZADD', P .. 'wake:' .. queue, 0, 'look') end

-- Cutting the stream costs more than adding to it, so reap does that, every few seconds.
function q.note(event, id, detail) call('XADD', P .. 'events', '*', 'event', event, 'id', id, 'detail', detail or '') end

-- A lane is what a consumer may take from as a whole: one queue, and one kind of task (python, claude, or claude:NAME for
-- those with a credential of their own), and one version of messages, so that those of a newer Baton stand in nobody's
-- way who does not understand them. It is written queue|kind, or queue|kind@version after the first.
function q.lane_of(t) return t.queue .. '|' .. t.kind .. (t.version > 1 and '@' .. t.version or '') end
function q.ready_key(lane) return P .. 'ready:' .. string.gsub(lane, '|([^|]*)$', ':%1') end
function q.parts_of(lane)
  local queue, kind, version = string.match(lane, '^(.*)|([^|@]*)@?(%d*)$')
  return queue, kind, tonumber(version) or 1
end
function q.lanes() return call('SMEMBERS', P .. 'lanes') end

function q.wake_all()
  for _, lane in ipairs(q.lanes()) do q.wake((q.parts_of(lane))) end
end

-- Huey's own values (results of tasks that never ran, revocations, locks), and their names with the ms at which a result
-- came in, for retention; 0 for the others, which stay until somebody removes them.
function q.put_value(key, value)
  call('SET', P .. 'kv:' .. key, value)
  call('ZADD', P .. 'kv', q.now_ms(), key)
  call('PUBLISH', P .. 'done:' .. key, 'value')
end

function q.drop_value(key)
  call('DEL', P .. 'kv:' .. key)
  call('ZREM', P .. 'kv', key)
end
