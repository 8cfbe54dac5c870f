-- prune: finished records and old identities, a bounded number at a time.
-- ARGV: ms to keep a finished record, ms to keep an identity, most of each to remove, days to keep the table of costs.
-- Answers the ids of the records removed.
-- An identity outlives its record, so that what was done long ago is not done again; it goes only when both are old.
function q.prune(ARGV)
  local now, limit, removed = q.now_ms(), ARGV[3], {}
  for _, state in ipairs({ 'succeeded', 'failed', 'cancelled' }) do
    local old = now - tonumber(ARGV[1])
    for _, id in ipairs(call('ZRANGEBYSCORE', P .. 'finished:' .. state, '-inf', old, 'LIMIT', 0, limit)) do
      local t = q.load(id, 'attempt')
      q.forget_charges(t, t.more[1])
      q.leave(t)
      q.tally(t, 'in', -1)
      call('ZREM', P .. 'ids', id)
      call('DEL', t.key)
      removed[#removed + 1] = id
    end
  end
  local old = call('ZRANGEBYSCORE', P .. 'kv', 1, now - tonumber(ARGV[1]), 'LIMIT', 0, limit)
  for _, key in ipairs(old) do q.drop_value(key) end -- results of tasks that never ran and have no record
  for _, name in ipairs(call('ZRANGEBYSCORE', P .. 'keys:age', '-inf', now - tonumber(ARGV[2]), 'LIMIT', 0, limit)) do
    local id = call('HGET', P .. 'keys', name)
    if id and call('EXISTS', q.task_key(id)) == 1 then
      call('ZADD', P .. 'keys:age', now, name) -- its task still lives: look again after as long
    else
      call('ZREM', P .. 'keys:age', name)
      call('HDEL', P .. 'keys', name)
    end
  end
  q.forget_costs(tonumber(ARGV[4]))
  return removed
end
