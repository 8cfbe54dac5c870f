-- started: what runs under a lease (host, pid, folder) and its session, recorded as soon as it is known.
-- ARGV: id, token, run (opaque JSON), session. Answers 'ok' or 'stale'.
if redis.call('HGET', task_key(ARGV[1]), 'token') ~= ARGV[2] or not redis.call('ZSCORE', P .. 'leases', ARGV[1]) then
  return 'stale'
end
redis.call('HSET', task_key(ARGV[1]), 'run', ARGV[3], 'session', ARGV[4])
note('started', ARGV[1], ARGV[4])
return 'ok'
