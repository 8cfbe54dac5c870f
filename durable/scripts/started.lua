-- started: what runs under a lease (host, pid, folder) and its session, recorded as soon as it is known.
-- ARGV: id, token, run (opaque JSON), session. Answers 'ok' or 'stale'.
function q.started(ARGV)
  local t = q.load(ARGV[1])
  if t.token ~= ARGV[2] or not call('ZSCORE', P .. 'leases', t.id) then return 'stale' end
  call('HSET', t.key, 'run', ARGV[3], 'session', ARGV[4], 'special', 1)
  q.note('started', t.id, ARGV[4])
  return 'ok'
end
