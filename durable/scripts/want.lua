-- want: a person wants a failed or cancelled task of a watcher back; first the watcher brings its file back, then it asks
-- for the requeue itself. ARGV: id, 1 when the next attempt is to go on where the last one ended.
-- Answers the state found ('missing' when there is none); only these two states are wanted. Again: the same.
--   wanted:SOURCE   id -> 1 or 0, as asked
function q.want(ARGV)
  local t = q.load(ARGV[1])
  if not t.state then return 'missing' end
  if t.state == 'failed' or t.state == 'cancelled' then
    call('HDEL', t.key, 'refused')
    call('HSET', P .. 'wanted:' .. t.source, t.id, ARGV[2])
  end
  return t.state
end
