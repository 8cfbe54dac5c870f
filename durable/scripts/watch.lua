-- watch: who looks after the alerts of all hosts. ARGV: owner, for how long (ms; 0 gives it up), 1 when news are to be
-- noted from now on, else 0. Answers the token of the watch while it is this owner's, '' while it is another's.
-- One that has nobody to tell waits for a day before it takes over from one that has: what is noted is that one's. The
-- other way round nobody waits.
local DAY_MS = 86400000

function q.watch(ARGV)
  local key = P .. 'alerts'
  local r = call('HMGET', key, 'owner', 'until', 'on')
  local is_mine, silent_ms = r[1] == ARGV[1], q.now_ms() - tonumber(r[2] or 0)
  local patience_ms = r[3] == '1' and ARGV[3] == '0' and DAY_MS or 0
  local tells_nobody = r[3] == '0' and ARGV[3] == '1'
  if not is_mine and not tells_nobody and silent_ms < patience_ms then return '' end
  if not is_mine then
    call('HSET', key, 'owner', ARGV[1])
    call('HINCRBY', key, 'token', 1)
  end
  call('HSET', key, 'until', string.format('%.0f', q.now_ms() + tonumber(ARGV[2])))
  if r[3] ~= ARGV[3] then
    call('HSET', key, 'on', ARGV[3])
    call('HDEL', key, 'unnoted')
    call('DEL', P .. 'alerts:news') -- what nobody was to be told of
  end
  return call('HGET', key, 'token')
end
