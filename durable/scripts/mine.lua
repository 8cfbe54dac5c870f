-- mine: the leases that an owner of this name left behind. ARGV: owner. Answers id, token, attempt, run, ...
-- Walks the running tasks only, of which there are as many as consumers.
local answer = {}
for _, id in ipairs(redis.call('ZRANGE', P .. 'leases', 0, -1)) do
  local r = redis.call('HMGET', task_key(id), 'owner', 'token', 'attempt', 'run')
  if r[1] == ARGV[1] then
    for _, value in ipairs({ id, r[2], r[3], r[4] or '' }) do answer[#answer + 1] = value end
  end
end
return answer
