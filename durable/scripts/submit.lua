-- submit: a batch of tasks and the producer's cursor, in one step.
-- ARGV: cursor name ('' for none), expected, next, number of tasks, then nine values each (see insert).
-- Answers {'moved', actual} and writes nothing when the cursor is elsewhere, else {'ok', id, new, id, new, ...}.
-- Repeated after a lost reply: without a cursor every id is known, with one it answers 'moved' to `next`.
local cursor, expected = ARGV[1], ARGV[2]
if cursor ~= '' then
  local actual = redis.call('HGET', P .. 'cursors', cursor) or ''
  if actual ~= expected then return { 'moved', actual } end
end
local now = now_ms()
local answer = { 'ok' }
for n = 0, tonumber(ARGV[4]) - 1 do
  local id, new = insert(5 + n * FIELDS, now)
  answer[#answer + 1] = id
  answer[#answer + 1] = new
end
if cursor ~= '' then redis.call('HSET', P .. 'cursors', cursor, ARGV[3]) end
return answer
