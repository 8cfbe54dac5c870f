-- chord: chords and the tasks that they begin with, in one step; a nested chord is a member of another.
-- ARGV: number of chords; then for each: chord id, size, what stands for a member that never ran, the callback's body
--       before and after the results, number of member ids, then for each: task id, place, 1 when its value is the member's;
--       then the callback's values (see insert);
--       then number of tasks, the values of each.
-- Answers as submit does. A repeat changes nothing: a chord that is known, or whose callback is in, is left alone.
function q.chord(ARGV)
  local i = 2
  for _ = 1, tonumber(ARGV[1]) do
    local chord, ids = P .. 'chord:' .. ARGV[i], tonumber(ARGV[i + 5])
    local callback = i + 6 + 3 * ids
    if call('EXISTS', chord, q.task_key(ARGV[callback])) == 0 then
      call('HSET', chord, 'size', ARGV[i + 1], 'skipped', ARGV[i + 2], 'head', ARGV[i + 3], 'tail', ARGV[i + 4])
      for n = 0, ids - 1 do
        local id, place, last = ARGV[i + 6 + 3 * n], ARGV[i + 7 + 3 * n], ARGV[i + 8 + 3 * n]
        call('HSET', P .. 'chords', id, cjson.encode({ ARGV[i], place, last }))
        call('SADD', chord .. ':ids', id)
      end
      for n = 0, q.FIELDS - 1 do call('RPUSH', chord .. ':callback', ARGV[callback + n]) end
    end
    i = callback + q.FIELDS
  end
  local answer = { 'ok' }
  for n = 0, tonumber(ARGV[i]) - 1 do
    local id, new = q.insert(ARGV, i + 1 + n * q.FIELDS)
    answer[#answer + 1] = id
    answer[#answer + 1] = new
  end
  return answer
end
