-- What became of each tick, file and item, by producer, the newest first, for the one who asks why.
--   journal:NAME   JSON objects, at most q.TOLD of them
--   latest         source -> the task that last went in with a word in a journal
q.TOLD = 200

-- `says` is a JSON object; id is the task's that it is about, '' for none; `what`, where given, is what became of it instead.
function q.tell(name, says, id, what)
  local entry = cjson.decode(says)
  entry.at_ms, entry.id, entry.what = q.now_ms(), id, what or entry.what
  call('LPUSH', P .. 'journal:' .. name, cjson.encode(entry))
  call('LTRIM', P .. 'journal:' .. name, 0, q.TOLD - 1)
  q.note_tick(name, entry)
end

-- A task of a source that waits, runs or is to be tried again; nil when there is none. One that is held is in nobody's way.
function q.live_of(source)
  local words = { source .. '|in', source .. '|held', source .. '|succeeded', source .. '|failed', source .. '|cancelled' }
  local tallies = call('HMGET', P .. 'sources', unpack(words))
  local live = tonumber(tallies[1] or 0)
  for n = 2, #words do live = live - tonumber(tallies[n] or 0) end
  return live > 0 and (call('HGET', P .. 'latest', source) or '') or nil
end
