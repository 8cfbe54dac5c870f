-- gate: close or open one entry. ARGV: 'close', scope, reason, until ms ('' = until a person opens it), info (JSON)
--                                  or: 'open', scope ('' any), reason ('' any). Answers how many entries changed.
function q.gate(ARGV)
  local changed = 0
  if ARGV[1] == 'close' then
    local entry = ARGV[2] .. '|' .. ARGV[3]
    local until_ms = ARGV[4] == '' and '+inf' or ARGV[4]
    -- a guess about a limit's end never shortens what the limit itself has said
    changed = call('ZADD', P .. 'gate', 'GT', 'CH', until_ms, entry)
    if changed == 1 then call('HSET', P .. 'gate:info', entry, ARGV[5]) end
    q.note('gate closed', '', entry)
  else
    for _, entry in ipairs(call('ZRANGE', P .. 'gate', 0, -1)) do
      local scope, reason = string.match(entry, '^([^|]*)|(.*)$')
      if (ARGV[2] == '' or ARGV[2] == scope) and (ARGV[3] == '' or ARGV[3] == reason) then
        q.open_entry(entry)
        changed = changed + 1
      end
    end
    q.wake_all()
  end
  return changed
end
