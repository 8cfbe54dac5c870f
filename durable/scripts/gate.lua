-- gate: close or open one entry. ARGV: 'close', scope, reason, until ms ('' unknown), the pause until somebody may look
-- whether it is over and its most (ms, '' none), a chance from 0 to 1 for the jitter, by (the id of the task that met
-- it), info (JSON). Neither a time nor a pause: until a person opens it.
-- Answers {1 when this closed it, 0 when it was closed already, ms until which it is, '' for a person}.
--                                  or: 'open', scope ('' any), reason ('' any). Answers how many entries changed.

-- The pause grows with every probe that has failed; a fifth of it is chance.
local function pause_ms(a, tries) return math.min(a.look * 2 ^ tries, a.most) * (0.8 + 0.4 * a.chance) end

-- A little after the end of a limit, so that not everybody returns in the same moment: 2 % of the wait, 1 to 60 s.
local function after_end(a)
  if not a.look then return a.till end
  return a.till + a.chance * math.min(60000, math.max(1000, 0.02 * (a.till - q.now_ms())))
end

-- For an entry that is new.
local function first_time(a)
  if a.till and (a.till > q.now_ms() or not a.look) then return after_end(a) end
  return a.look and q.now_ms() + pause_ms(a, 0) or math.huge
end

-- For one that stands; nil where nothing changes. What the limit itself says counts, never a guess. An entry whose time
-- is over is closed again only by its probe: what others still report is older than that.
local function again(a, entry, held, tries)
  local later = a.till and a.till > held and after_end(a)
  if held > q.now_ms() then return later end
  if a.look and q.probe_of(a.scope) == a.by then
    call('HINCRBY', P .. 'gate:tries', entry, 1)
    return math.max(later or 0, q.now_ms() + pause_ms(a, tries + 1))
  end
  return later
end

local function close(a, info)
  local entry = a.scope .. '|' .. a.reason
  local held = tonumber(call('ZSCORE', P .. 'gate', entry) or nil)
  local is_new = not held
  local at
  if is_new then
    at = first_time(a)
  else
    at = again(a, entry, held, tonumber(call('HGET', P .. 'gate:tries', entry) or 0))
  end
  if at then
    at = at < math.huge and string.format('%.0f', at) or '+inf'
    call('ZADD', P .. 'gate', at, entry)
    call('HSET', P .. 'gate:info', entry, info)
    call('HSETNX', P .. 'gate:since', entry, q.now_ms())
    local event = is_new and 'gate closed' or 'gate stays closed'
    call('XADD', P .. 'events', '*', 'event', event, 'id', '', 'detail', entry, 'until_ms', at, 'info', info)
  else
    at = held < math.huge and string.format('%.0f', held) or '+inf'
  end
  return { is_new and 1 or 0, at == '+inf' and '' or at }
end

local function open(scope, reason)
  local changed = 0
  for _, entry in ipairs(call('ZRANGE', P .. 'gate', 0, -1)) do
    local its_scope, its_reason = string.match(entry, '^([^|]*)|(.*)$')
    if (scope == '' or scope == its_scope) and (reason == '' or reason == its_reason) then
      q.open_entry(entry)
      changed = changed + 1
    end
  end
  q.wake_all()
  return changed
end

function q.gate(ARGV)
  if ARGV[1] == 'open' then return open(ARGV[2], ARGV[3]) end
  return close({ scope = ARGV[2], reason = ARGV[3], till = tonumber(ARGV[4]), look = tonumber(ARGV[5]),
    most = tonumber(ARGV[6]), chance = tonumber(ARGV[7]), by = ARGV[8] }, ARGV[9])
end
