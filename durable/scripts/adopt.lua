-- adopt: a run whose owner has gone goes on under another: a new token, the same attempt, which does not count again.
-- ARGV: id, old token, owner, nonce, lease ms. The caller has seen the old owner's flock free and holds on to the run.
-- Only an owner of the same instance and host may: nobody else can see that. Of several, one wins.
-- Answers as claim does; {'stale'} when the lease is not the old token's any more. The same nonce gets the same answer.
function q.adopt(ARGV)
  local id, old, owner, nonce = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
  local t = q.load(id, 'owner', 'attempt', 'counted', 'body', 'name', 'settled_token', 'adopted', 'outcome')
  local more = t.more

  local function answer(token)
    return { 'lease', id, token, more[2] or '0', more[3] or '0', more[4] or '', t.kind, t.source, more[5] or '', t.queue,
      more[6] or '0', 0, t.probe and 1 or 0, more[8] or '' }
  end

  local function home(name) return string.match(name or '', '^(.*):[^:]*$') or name end

  if t.state ~= 'running' or not call('ZSCORE', P .. 'leases', id) then return { 'stale' } end
  if more[7] == nonce .. ' ' .. old and more[1] == owner then return answer(t.token) end
  if t.version > q.MESSAGE then return { 'stale' } end -- for a newer Baton
  if t.token ~= old or home(more[1]) ~= home(owner) then return { 'stale' } end
  local token = call('HINCRBY', P .. 'counters', 'token', 1)
  call('HSET', t.key, 'owner', owner, 'token', token, 'adopted', nonce .. ' ' .. old)
  call('HDEL', t.key, 'suspected')
  call('ZADD', P .. 'leases', q.now_ms() + tonumber(ARGV[5]), id)
  if t.cancel then call('ZADD', P .. 'poke:' .. owner, 0, 'beat') end -- the former owner may not have heard of it
  q.note('adopted', id, owner)
  return answer(token)
end
