-- What somebody may have to be told of, noted where it happens and in the same step, so that no look comes too late:
-- tasks that fail or are held, those that are so no longer, and ticks that come late or not at all.
--   alerts        hash: on (1 while somebody sends alerts); owner, until, token of who is on watch; turn, seq;
--                 unnoted: how many were too many
--   alerts:news   JSON objects, the oldest first, at most q.NEWS of them; see durable/alerting.py
q.NEWS = 10000

local function noted(news)
  if call('HGET', P .. 'alerts', 'on') ~= '1' then return end
  if call('LLEN', P .. 'alerts:news') >= q.NEWS then
    call('HINCRBY', P .. 'alerts', 'unnoted', 1)
    return
  end
  news.at_ms = q.now_ms()
  call('RPUSH', P .. 'alerts:news', cjson.encode(news))
end

-- The beginning of a text, not cut within a character.
local function short(text)
  if #text <= 300 then return text end
  return (string.gsub(string.sub(text, 1, 300), '[\192-\255][\128-\191]*$', ''))
end

-- A task has failed or is held.
function q.note_trouble(t, what, outcome, reason)
  noted({ what = what, id = t.id, source = q.source_of(t), outcome = outcome, why = short(reason) })
end

-- It was, and is so no longer.
function q.note_relief(t, what) noted({ what = 'no longer ' .. what, id = t.id, source = q.source_of(t) }) end

-- A tick that its schedule's journal calls anything else than run or merged.
function q.note_tick(journal, entry)
  if string.sub(journal, 1, 9) ~= 'schedule:' or entry.what == 'run' or entry.what == 'merged' then return end
  noted({ what = entry.what, id = entry.id, source = journal, about = entry.about, why = entry.why, count = entry.count })
end
