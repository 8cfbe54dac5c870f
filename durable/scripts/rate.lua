-- rate: one more in the window of this moment, by the server's clock.
-- ARGV: name, window in ms. Answers how many there are in it now, and ms until the next window.
function q.rate(ARGV)
  local now, window, key = q.now_ms(), tonumber(ARGV[2]), P .. 'rate:' .. ARGV[1]
  local left = window - now % window
  local begun = now + left
  if tonumber(call('HGET', key, 'until') or 0) ~= begun then call('HSET', key, 'until', begun, 'count', 0) end
  local count = call('HINCRBY', key, 'count', 1)
  call('PEXPIRE', key, left)
  return { count, left }
end
