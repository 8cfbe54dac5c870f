-- dataset: what these data call themselves. ARGV: an id for data that have none yet ('' only asks), the format.
-- Answers {id, format, last token drawn}; '' for data without a name.
function q.dataset(ARGV)
  local key = P .. 'dataset'
  if ARGV[1] ~= '' and call('HSETNX', key, 'id', ARGV[1]) == 1 then call('HSET', key, 'format', ARGV[2]) end
  for _, queue in ipairs(call('SMEMBERS', P .. 'queues')) do -- of format 1, which did not know lanes
    call('SADD', P .. 'lanes', queue .. '|python', queue .. '|claude')
    call('DEL', P .. 'queues')
  end
  local r = call('HMGET', key, 'id', 'format')
  return { r[1] or '', r[2] or '0', call('HGET', P .. 'counters', 'token') or '0' }
end
