-- migrate: data of an older format become data of this one, in one step. No ARGV. Answers the format found.
-- A repeat finds nothing to do. Each step names what it makes the data of.
local STEPS = {
  [2] = function() -- lanes in the place of queues, and versions in their names
    for _, queue in ipairs(call('SMEMBERS', P .. 'queues')) do
      call('SADD', P .. 'lanes', queue .. '|python', queue .. '|claude')
    end
    call('DEL', P .. 'queues')
  end,
}

function q.migrate()
  local key = P .. 'dataset'
  local found = tonumber(call('HGET', key, 'format') or nil) or q.FORMAT
  for format = found + 1, q.FORMAT do STEPS[format]() end
  if found < q.FORMAT then
    call('HSET', key, 'format', q.FORMAT)
    q.note('migrated', '', found .. ' to ' .. q.FORMAT)
  end
  return found
end
