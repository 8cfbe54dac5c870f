-- beat: the owner is alive; its leases are extended and suspicion is cleared.
-- ARGV: lease ms, then id, token for each lease. Answers for each 'ok', 'cancel' (a person wants it stopped) or 'lost'.
function q.beat(ARGV)
  local answer = {}
  local deadline = q.now_ms() + tonumber(ARGV[1])
  for i = 2, #ARGV, 2 do
    local t = q.load(ARGV[i])
    if t.token ~= ARGV[i + 1] or not call('ZSCORE', P .. 'leases', t.id) then
      answer[#answer + 1] = 'lost'
    else
      call('ZADD', P .. 'leases', 'XX', 'GT', deadline, t.id)
      if t.suspected then call('HDEL', t.key, 'suspected') end
      answer[#answer + 1] = t.cancel and 'cancel' or 'ok'
    end
  end
  return answer
end
