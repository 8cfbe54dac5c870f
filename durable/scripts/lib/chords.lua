-- A member of a chord has ended: its value is kept under its place, so that no repeat counts twice; with the last one the
-- callback goes in. The values are JSON that was written elsewhere; they are joined as text, never re-encoded.
function q.fire_chord(chord)
  local values = {}
  for n = 0, tonumber(call('HGET', chord, 'size')) - 1 do
    values[n + 1] = call('HGET', chord .. ':values', n)
  end
  local around = call('HMGET', chord, 'head', 'tail')
  local callback = call('LRANGE', chord .. ':callback', 0, -1)
  callback[9] = around[1] .. table.concat(values, ',') .. around[2]
  q.insert(callback, 1)
  for _, id in ipairs(call('SMEMBERS', chord .. ':ids')) do call('HDEL', P .. 'chords', id) end
  call('DEL', chord, chord .. ':values', chord .. ':callback', chord .. ':ids')
end

function q.step_chord(t, value)
  local found = call('HGET', P .. 'chords', t.id)
  if not found then return end
  local member = cjson.decode(found)
  local chord = P .. 'chord:' .. member[1]
  if t.state == 'succeeded' and member[3] ~= '1' then return end -- the pipeline goes on
  if value == '' then value = call('HGET', chord, 'skipped') end
  call('HSET', chord .. ':values', member[2], value)
  if call('HLEN', chord .. ':values') == tonumber(call('HGET', chord, 'size')) then q.fire_chord(chord) end
end

-- A member that a person sends back before its chord is full: its place is open again.
function q.reopen_place(id)
  local found = call('HGET', P .. 'chords', id)
  if not found then return end
  local member = cjson.decode(found)
  call('HDEL', P .. 'chord:' .. member[1] .. ':values', member[2])
end
