-- beat: the owner is alive; its leases are extended and suspicion is cleared.
-- ARGV: lease ms, then id, token for each lease. Answers for each 'ok', 'cancel' (a person wants it stopped) or 'lost'.
local now, answer = now_ms(), {}
local deadline = int(now + tonumber(ARGV[1]))
for i = 2, #ARGV, 2 do
  local r = redis.call('HMGET', task_key(ARGV[i]), 'token', 'cancel')
  if r[1] ~= ARGV[i + 1] or not redis.call('ZSCORE', P .. 'leases', ARGV[i]) then
    answer[#answer + 1] = 'lost'
  else
    redis.call('ZADD', P .. 'leases', 'XX', 'GT', deadline, ARGV[i])
    redis.call('HDEL', task_key(ARGV[i]), 'suspected')
    answer[#answer + 1] = r[2] and 'cancel' or 'ok'
  end
end
return answer
