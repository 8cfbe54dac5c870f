-- The gate: entries scope|reason with the ms until which they hold. Scopes: all (a person's pause), claude (every Claude
-- task: the day's budget, no claude here), claude:NAME (one credential: its limit, its login).
-- An entry whose time has come is gone, but for a credential's: that one waits for a probe, the one task that may try.
-- Its right is part of its lease (the field `probe`, and `probes`: scope -> id); a sign of life opens the gate for all.
function q.scope_of(kind) return kind == 'claude' and 'claude:default' or kind end

function q.open_entry(entry)
  call('ZREM', P .. 'gate', entry)
  for _, key in ipairs({ 'gate:info', 'gate:since', 'gate:tries' }) do call('HDEL', P .. key, entry) end
  q.note('gate opened', '', entry)
end

-- The id of the live probe of a scope, if any.
function q.probe_of(scope)
  local id = call('HGET', P .. 'probes', scope)
  return id and call('ZSCORE', P .. 'leases', id) and id
end

-- The probe has shown that the credential works again: entries whose time has come are over.
function q.open_scope(scope)
  local opened = 0
  for _, entry in ipairs(call('ZRANGEBYSCORE', P .. 'gate', '-inf', q.now_ms())) do
    if string.match(entry, '^([^|]*)|') == scope then
      q.open_entry(entry)
      opened = opened + 1
    end
  end
  return opened
end

-- The right to probe falls free.
function q.end_probe(t)
  if call('HGET', P .. 'probes', t.probe) == t.id then call('HDEL', P .. 'probes', t.probe) end
  call('HDEL', t.key, 'probe')
  q.wake_all()
end

-- A task that closed the gate, since a day's budget has no room for it, waits no more: the others may fit.
function q.waits_no_more(t)
  for _, reason in ipairs({ 'budget', 'token budget' }) do
    local entry = 'claude|' .. reason
    local info = call('HGET', P .. 'gate:info', entry)
    if info and cjson.decode(info).by == t.id then
      q.open_entry(entry)
      q.wake_all()
    end
  end
end
