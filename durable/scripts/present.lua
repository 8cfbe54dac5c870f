-- present: what an owner takes from the queue, for those who ask whether anybody takes from it.
-- ARGV: owner, what it says of itself (a JSON object; '' when it goes), ms after which one that is silent is forgotten.
function q.present(ARGV)
  local key, now = P .. 'consumers', q.now_ms()
  if ARGV[2] == '' then return call('HDEL', key, ARGV[1]) end
  local all = call('HGETALL', key)
  for n = 1, #all, 2 do
    if tonumber(string.match(all[n + 1], '^(%d+) ')) < now - tonumber(ARGV[3]) then call('HDEL', key, all[n]) end
  end
  call('HSET', key, ARGV[1], string.format('%.0f ', now) .. ARGV[2])
  return 1
end
