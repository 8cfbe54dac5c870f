-- alive: a probe has heard from the API; the gate of its credential opens, long before the probe's task ends.
-- ARGV: id, token. Answers how many entries were opened; 0 for a lease that is no probe, or is over.
function q.alive(ARGV)
  local t = q.load(ARGV[1])
  if t.token ~= ARGV[2] or t.state ~= 'running' or not t.probe then return 0 end
  local opened = q.open_scope(t.probe)
  q.end_probe(t)
  return opened
end
