-- reconcile: a record that claims to wait or to run but stands in no structure goes to the head of its queue; one that
-- waits for a lock which nobody holds is let in.
-- No script of ours leaves one behind; a foreign hand or a restored copy can, and nobody would ever look at it.
-- ARGV: the id to go on after ('' from the beginning), how many ids to look at.
-- Answers the id to go on after ('' at the end), then the ids that were mended.
function q.reconcile(ARGV)
  local from = ARGV[1] == '' and '-' or '(' .. ARGV[1]
  local ids = call('ZRANGEBYLEX', P .. 'ids', from, '+', 'LIMIT', 0, ARGV[2])
  local answer = { #ids < tonumber(ARGV[2]) and '' or ids[#ids] }

  local function stands_ready(t) return call('ZSCORE', q.ready_key(q.lane_of(t)), t.id) end
  local function waits(t) return t.lock ~= '' and call('ZSCORE', q.waiting_key(t.lock, q.lane_of(t)), t.id) end

  local function stands(t)
    if t.state == 'queued' then return stands_ready(t) or waits(t) end
    local home = ({ scheduled = 'scheduled', running = 'leases', held = 'held' })[t.state or '']
    return not home or call('ZSCORE', P .. home, t.id)
  end

  for _, id in ipairs(ids) do
    local t = q.load(id)
    if not stands(t) then
      local was = t.state
      q.leave(t)
      q.set(t, 'token', 0)
      if was == 'running' then q.set(t, 'outcome', 'interrupted') end
      q.to_ready(t, true)
      q.note('reconciled', id, was)
      answer[#answer + 1] = id
    elseif t.state == 'queued' and not stands_ready(t) and not q.holder(t.lock) then
      q.let_in(t.lock, q.lane_of(t))
    end
  end
  return answer
end
