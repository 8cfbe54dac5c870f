-- reap: leases past their deadline, in two phases. The first time an owner is suspected and gets a grace (after a
-- Redis outage all leases look expired at once; the living beat before the second time). The second time the token
-- is void and the task goes back to the head of its queue.
-- ARGV: grace ms, most leases to look at. Answers id, 'suspected' | 'requeued', ...
local now, answer = now_ms(), {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'leases', '-inf', now, 'LIMIT', 0, ARGV[2])) do
  local r = redis.call('HMGET', task_key(id), 'suspected', 'cancel')
  answer[#answer + 1] = id
  if not r[1] then
    redis.call('HSET', task_key(id), 'suspected', int(now))
    redis.call('ZADD', P .. 'leases', int(now + tonumber(ARGV[1])), id)
    note('suspected', id, redis.call('HGET', task_key(id), 'owner') or '')
    answer[#answer + 1] = 'suspected'
  else
    drop_lease(id)
    redis.call('HSET', task_key(id), 'token', 0, 'outcome', 'interrupted', 'reason', 'its consumer was not heard of any more')
    if r[2] then
      finish(id, now, 'cancelled', 'cancelled', 'cancelled by a person')
    else
      to_ready(id, true)
    end
    note('reaped', id, '')
    answer[#answer + 1] = 'requeued'
  end
end
redis.call('XTRIM', P .. 'events', 'MAXLEN', '~', 10000) -- of what note adds
return answer
