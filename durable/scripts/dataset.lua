-- dataset: what these data call themselves. ARGV: an id for data that have none yet ('' only asks), the format.
-- Answers {id, format, last token drawn}; '' for data without a name.
local key = P .. 'dataset'
if ARGV[1] ~= '' and redis.call('HSETNX', key, 'id', ARGV[1]) == 1 then redis.call('HSET', key, 'format', ARGV[2]) end
local r = redis.call('HMGET', key, 'id', 'format')
return { r[1] or '', r[2] or '0', redis.call('HGET', P .. 'counters', 'token') or '0' }
