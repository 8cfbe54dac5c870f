-- Lock names: of the tasks that name a lock, one runs at a time. The others wait where no claim walks past them:
--   locks              lock -> the id that runs
--   heads              lock|lane -> the one id of a lane that stands ready for the lock; the first to get it
--   waiting:LOCK|LANE  the rest of the lane, in order;  waiting: all of them, for whoever counts or lists
-- `t` is a loaded task (see record.lua) that names a lock.
function q.waiting_key(lock, lane) return P .. 'waiting:' .. lock .. '|' .. lane end

function q.put_aside(id, lock, lane, score)
  call('ZADD', q.waiting_key(lock, lane), score, id)
  call('ZADD', P .. 'waiting', score, id)
end

-- Who runs under a lock; a holder without a lease is none: a foreign hand was there.
function q.holder(lock)
  local id = call('HGET', P .. 'locks', lock)
  return id and call('ZSCORE', P .. 'leases', id) and id
end

function q.stand_ready(id, lock, lane, score)
  call('HSET', P .. 'heads', lock .. '|' .. lane, id)
  call('ZADD', q.ready_key(lane), score, id)
  q.wake((q.parts_of(lane)))
end

-- The best of those who wait in a lane stands ready, unless somebody does.
function q.let_in(lock, lane)
  if call('HEXISTS', P .. 'heads', lock .. '|' .. lane) == 1 then return end
  local first = call('ZPOPMIN', q.waiting_key(lock, lane))
  if first[1] then
    call('ZREM', P .. 'waiting', first[1])
    q.stand_ready(first[1], lock, lane, first[2])
  end
end

-- Into the line of its lock: ready when the lock is free and nobody better stands ready in its lane.
function q.line_up(t, score)
  local lane = q.lane_of(t)
  if q.holder(t.lock) then return q.put_aside(t.id, t.lock, lane, score) end
  local head = call('HGET', P .. 'heads', t.lock .. '|' .. lane)
  local before = head and head ~= t.id and call('ZSCORE', q.ready_key(lane), head)
  if before then
    if tonumber(before) <= tonumber(score) then return q.put_aside(t.id, t.lock, lane, score) end
    call('ZREM', q.ready_key(lane), head)
    q.put_aside(head, t.lock, lane, before)
  end
  q.stand_ready(t.id, t.lock, lane, score)
end

-- Out of the line, wherever in it; the next one stands ready.
function q.leave_line(t)
  local lane = q.lane_of(t)
  call('ZREM', q.waiting_key(t.lock, lane), t.id)
  call('ZREM', P .. 'waiting', t.id)
  if call('HGET', P .. 'heads', t.lock .. '|' .. lane) == t.id then
    call('HDEL', P .. 'heads', t.lock .. '|' .. lane)
    if not q.holder(t.lock) then q.let_in(t.lock, lane) end
  end
end

-- It stood ready and is to run: false, and it waits again, when another lane's task was faster.
function q.take_lock(t, score)
  local lane = q.lane_of(t)
  call('HDEL', P .. 'heads', t.lock .. '|' .. lane)
  if q.holder(t.lock) then
    q.put_aside(t.id, t.lock, lane, score)
    return false
  end
  call('HSET', P .. 'locks', t.lock, t.id)
  return true
end

-- Its lease has ended.
function q.free_lock(t)
  if call('HGET', P .. 'locks', t.lock) ~= t.id then return end
  call('HDEL', P .. 'locks', t.lock)
  for _, lane in ipairs(q.lanes()) do q.let_in(t.lock, lane) end
end
