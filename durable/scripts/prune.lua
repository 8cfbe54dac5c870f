-- prune: finished records and old identities, a bounded number at a time.
-- ARGV: ms to keep a finished record, ms to keep an identity, most of each to remove. Answers the ids of the records removed.
-- An identity outlives its record, so that what was done long ago is not done again; it goes only when both are old.
local now, limit, removed = now_ms(), ARGV[3], {}
for _, state in ipairs({ 'succeeded', 'failed', 'cancelled' }) do
  local key = P .. 'finished:' .. state
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key, '-inf', int(now - tonumber(ARGV[1])), 'LIMIT', 0, limit)) do
    redis.call('ZREM', key, id)
    redis.call('ZREM', P .. 'ids', id)
    redis.call('DEL', task_key(id))
    removed[#removed + 1] = id
  end
end
local old = redis.call('ZRANGEBYSCORE', P .. 'kv', 1, int(now - tonumber(ARGV[1])), 'LIMIT', 0, limit)
for _, key in ipairs(old) do drop_value(key) end -- results of tasks that never ran and have no record
for _, name in ipairs(redis.call('ZRANGEBYSCORE', P .. 'keys:age', '-inf', int(now - tonumber(ARGV[2])), 'LIMIT', 0, limit)) do
  local id = redis.call('HGET', P .. 'keys', name)
  if id and redis.call('EXISTS', task_key(id)) == 1 then
    redis.call('ZADD', P .. 'keys:age', int(now), name) -- its task still lives: look again after as long
  else
    redis.call('ZREM', P .. 'keys:age', name)
    redis.call('HDEL', P .. 'keys', name)
  end
end
return removed
