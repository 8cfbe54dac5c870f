-- rate: one more in the window of this moment, by the server's clock.
-- ARGV: name, window in ms. Answers how many there are in it now, and ms until the next window.
local now, window, key = now_ms(), tonumber(ARGV[2]), P .. 'rate:' .. ARGV[1]
local left = window - now % window
local begun = int(now + left)
if redis.call('HGET', key, 'until') ~= begun then redis.call('HSET', key, 'until', begun, 'count', 0) end
local count = redis.call('HINCRBY', key, 'count', 1)
redis.call('PEXPIRE', key, int(left))
return { count, int(left) }
