-- refuse: a watcher cannot bring a file back that somebody wants; its task stays as it is, and says why.
-- ARGV: source, id, reason. Answers 1, or 0 when nobody wants it (any more).
function q.refuse(ARGV)
  if call('HDEL', P .. 'wanted:' .. ARGV[1], ARGV[2]) == 0 then return 0 end
  if call('EXISTS', q.task_key(ARGV[2])) == 1 then call('HSET', q.task_key(ARGV[2]), 'refused', ARGV[3]) end
  return 1
end
