-- mine: the leases that an owner of this name left behind. ARGV: owner. Answers id, token, attempt, run, ...
-- Walks the running tasks only, of which there are as many as consumers.
function q.mine(ARGV)
  local answer = {}
  for _, id in ipairs(call('ZRANGE', P .. 'leases', 0, -1)) do
    local t = q.load(id, 'owner', 'attempt')
    if t.more[1] == ARGV[1] then
      for _, value in ipairs({ id, t.token, t.more[2], t.run or '' }) do answer[#answer + 1] = value end
    end
  end
  return answer
end
