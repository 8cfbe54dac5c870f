-- move_member: another task takes a task's place in its chord, before either has ended. ARGV: id, then the ids that take it,
-- the last of which has the member's value. Answers 1, or 0 when the task is in no chord (any more).
function q.move_member(ARGV)
  local found = call('HGET', P .. 'chords', ARGV[1])
  if not found then return 0 end
  local chord, place = unpack(cjson.decode(found))
  call('HDEL', P .. 'chords', ARGV[1])
  for n = 2, #ARGV do
    call('HSET', P .. 'chords', ARGV[n], cjson.encode({ chord, place, n == #ARGV and '1' or '0' }))
    call('SADD', P .. 'chord:' .. chord .. ':ids', ARGV[n])
  end
  return 1
end
