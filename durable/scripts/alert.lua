-- alert: what came of one look of who is on watch: news that are taken in, what is open now, what is to be sent.
-- ARGV: token of the watch, turn before this one, how many of the oldest news are taken in, how many of `unnoted` are, then
-- hash (incidents, outbox, pings), field, value for each change; '' removes. `sent` as the hash adds to what was sent.
-- Answers 1; or 0 and does nothing when another is on watch, or when the turn is not the one that stands here.
local SENT = 100 -- so many are kept for whoever asks

function q.alert(ARGV)
  local key = P .. 'alerts'
  local r = call('HMGET', key, 'token', 'turn')
  if r[1] ~= ARGV[1] or (r[2] or '0') ~= ARGV[2] then return 0 end
  call('HINCRBY', key, 'turn', 1)
  if ARGV[3] ~= '0' then call('LTRIM', key .. ':news', ARGV[3], -1) end
  if ARGV[4] ~= '0' then call('HINCRBY', key, 'unnoted', '-' .. ARGV[4]) end
  for n = 5, #ARGV, 3 do
    local where, field, value = key .. ':' .. ARGV[n], ARGV[n + 1], ARGV[n + 2]
    if ARGV[n] == 'sent' then
      call('LPUSH', where, value)
      call('LTRIM', where, 0, SENT - 1)
    elseif value == '' then
      call('HDEL', where, field)
    else
      call('HSET', where, field, value)
    end
  end
  return 1
end
