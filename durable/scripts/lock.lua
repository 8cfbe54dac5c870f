-- lock: take a named lock unless somebody holds it. A lock that was taken in an attempt falls with the attempt's lease.
-- ARGV: name, the taker's token, ttl ms ('' none), task id and lease token of the attempt ('' outside one). Answers 1 when taken.
function q.lock(ARGV)
  local name, mine = ARGV[1], P .. 'kv:' .. ARGV[1]
  if call('EXISTS', mine) == 1 then
    local holder = call('HGET', P .. 'lockers', name)
    if not holder then return 0 end
    local token, id = string.match(holder, '^(%d+)|(.*)$')
    if call('HGET', q.task_key(id), 'token') == token and call('ZSCORE', P .. 'leases', id) then return 0 end
  end
  if ARGV[3] == '' then call('SET', mine, ARGV[2]) else call('SET', mine, ARGV[2], 'PX', ARGV[3]) end
  call('ZADD', P .. 'kv', 0, name)
  if ARGV[4] == '' then
    call('HDEL', P .. 'lockers', name)
  else
    call('HSET', P .. 'lockers', name, ARGV[5] .. '|' .. ARGV[4])
  end
  return 1
end
