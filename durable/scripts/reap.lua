-- reap: leases past their deadline, in two phases. The first time an owner is suspected and gets a grace (after a
-- Redis outage all leases look expired at once; the living beat before the second time). The second time the token
-- is void and the task goes back to the head of its queue.
-- ARGV: grace ms, most leases to look at. Answers id, 'suspected' | 'requeued', ...
function q.reap(ARGV)
  local now, answer = q.now_ms(), {}
  for _, id in ipairs(call('ZRANGEBYSCORE', P .. 'leases', '-inf', now, 'LIMIT', 0, ARGV[2])) do
    local t = q.load(id, 'owner')
    answer[#answer + 1] = id
    if not t.suspected then
      call('HSET', t.key, 'suspected', now, 'special', 1)
      call('ZADD', P .. 'leases', now + tonumber(ARGV[1]), id)
      q.note('suspected', id, t.more[1] or '')
      answer[#answer + 1] = 'suspected'
    else
      q.leave(t)
      q.charge(t)
      q.set(t, 'token', 0)
      q.set(t, 'outcome', 'interrupted')
      q.set(t, 'reason', 'its consumer was not heard of any more')
      if t.cancel then q.finish(t, 'cancelled', 'cancelled', 'cancelled by a person') else q.to_ready(t, true) end
      q.note('reaped', id, '')
      answer[#answer + 1] = 'requeued'
    end
  end
  call('XTRIM', P .. 'events', 'MAXLEN', '~', 10000) -- of what note adds
  return answer
end
