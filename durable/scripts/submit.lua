-- submit: a batch of tasks and the producer's cursor, in one step.
-- ARGV: cursor name ('' for none), expected, next, number of tasks, then the values of each (see insert).
-- Answers {'moved', actual} and writes nothing when the cursor is elsewhere, else {'ok', id, new, id, new, ...}.
-- Repeated after a lost reply: every task is known, and the cursor stands at `next`; it answers what stands there.
-- A cursor that somebody else moved to the same `next` without these tasks is 'moved' like any other.
function q.submit(ARGV)
  local cursor, expected = ARGV[1], ARGV[2]

  local function submitted_before()
    local answer = { 'ok' }
    for n = 0, tonumber(ARGV[4]) - 1 do
      local known = q.standing(ARGV[5 + n * q.FIELDS], ARGV[6 + n * q.FIELDS])
      if not known then return nil end
      answer[#answer + 1] = known
      answer[#answer + 1] = 0
    end
    return answer
  end

  if cursor ~= '' then
    local actual = call('HGET', P .. 'cursors', cursor) or ''
    if actual ~= expected then return actual == ARGV[3] and submitted_before() or { 'moved', actual } end
  end
  local answer = { 'ok' }
  for n = 0, tonumber(ARGV[4]) - 1 do
    local id, new = q.insert(ARGV, 5 + n * q.FIELDS)
    answer[#answer + 1] = id
    answer[#answer + 1] = new
  end
  if cursor ~= '' then call('HSET', P .. 'cursors', cursor, ARGV[3]) end
  return answer
end
