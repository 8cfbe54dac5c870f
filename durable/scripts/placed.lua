-- placed: where the files of tasks have been put. ARGV: for each its id, and a JSON text that only watchers read.
-- Answers how many records there were. Again: the same.
function q.placed(ARGV)
  local known = 0
  for n = 1, #ARGV, 2 do
    local key = q.task_key(ARGV[n])
    if call('EXISTS', key) == 1 then
      call('HSET', key, 'file', ARGV[n + 1])
      known = known + 1
    end
  end
  return known
end
