-- reconcile: a record that claims to wait or to run but stands in no structure goes to the head of its queue.
-- No script of ours leaves one behind; a foreign hand or a restored copy can, and nobody would ever look at it.
-- ARGV: the id to go on after ('' from the beginning), how many ids to look at.
-- Answers the id to go on after ('' at the end), then the ids that were mended.
local from = ARGV[1] == '' and '-' or '(' .. ARGV[1]
local ids = redis.call('ZRANGEBYLEX', P .. 'ids', from, '+', 'LIMIT', 0, ARGV[2])
local answer = { #ids < tonumber(ARGV[2]) and '' or ids[#ids] }
for _, id in ipairs(ids) do
  local state = redis.call('HGET', task_key(id), 'state')
  local queue, kind = place(id)
  local home = ({ queued = ready_key(queue, kind), scheduled = P .. 'scheduled', running = P .. 'leases',
    held = P .. 'held' })[state or '']
  if home and not redis.call('ZSCORE', home, id) then
    redis.call('HSET', task_key(id), 'token', 0)
    to_ready(id, true)
    note('reconciled', id, state)
    answer[#answer + 1] = id
  end
end
return answer
