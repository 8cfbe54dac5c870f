-- dataset: what these data call themselves. ARGV: an id for data that have none yet ('' only asks), the format.
-- Answers {id, format, last token drawn}; '' for data without a name.
function q.dataset(ARGV)
  local key = P .. 'dataset'
  if ARGV[1] ~= '' and call('HSETNX', key, 'id', ARGV[1]) == 1 then
    call('HSET', key, 'format', call('EXISTS', P .. 'queues') == 1 and 1 or ARGV[2])
  end
  local r = call('HMGET', key, 'id', 'format')
  return { r[1] or '', r[2] or '0', call('HGET', P .. 'counters', 'token') or '0' }
end
