-- mine: the leases of an owner, or of all whose names begin so. ARGV: owner or beginning, 1 for a beginning.
-- Answers owner, id, token, attempt, kind, ...
-- Walks the running tasks only, of which there are as many as consumers.
function q.mine(ARGV)
  local answer = {}
  for _, id in ipairs(call('ZRANGE', P .. 'leases', 0, -1)) do
    local t = q.load(id, 'owner', 'attempt')
    local owner = t.more[1] or ''
    if owner == ARGV[1] or (ARGV[2] == '1' and string.sub(owner, 1, #ARGV[1]) == ARGV[1]) then
      for _, value in ipairs({ owner, id, t.token, t.more[2], t.kind }) do answer[#answer + 1] = value end
    end
  end
  return answer
end
