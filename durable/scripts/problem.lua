-- problem: something stands in the way, or does no more.
-- ARGV: field (subject|host), what is told of it (a JSON object; lasted_ms in it: it stood for so long before it
-- was told), '' when it is over.
-- Answers 1 when that is new: when it did not stand before, or when it did.
function q.problem(ARGV)
  local key, field, says = P .. 'problems', ARGV[1], ARGV[2]
  local before = call('HGET', key, field)
  if says == '' then
    if not before then return 0 end
    call('HDEL', key, field)
    q.note('problem over', '', field)
    return 1
  end
  local entry = cjson.decode(says)
  entry.seen_ms = q.now_ms()
  local lasted_ms = entry.lasted_ms or 0
  entry.lasted_ms = nil
  entry.since_ms = before and cjson.decode(before).since_ms or entry.seen_ms - lasted_ms
  call('HSET', key, field, cjson.encode(entry))
  if before then return 0 end
  q.note('problem', '', field)
  return 1
end
