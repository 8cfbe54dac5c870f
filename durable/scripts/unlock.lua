-- unlock: let a named lock go, if it is still the caller's: one whose time ran out may be another's by now.
-- ARGV: name, the taker's token. Answers 1 when it was let go.
function q.unlock(ARGV)
  if call('GET', P .. 'kv:' .. ARGV[1]) ~= ARGV[2] then return 0 end
  call('DEL', P .. 'kv:' .. ARGV[1])
  call('ZREM', P .. 'kv', ARGV[1])
  call('HDEL', P .. 'lockers', ARGV[1])
  return 1
end
