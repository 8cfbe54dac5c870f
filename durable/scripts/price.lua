-- price: what a run whose end nobody saw has really cost, in place of what was charged for it (see charge in lib/costs.lua).
-- ARGV: id, attempt, costs. Whoever has the attempt's folder may say it, with or without a lease; the first one counts.
-- Answers 1, or 0 when there is nothing to price any more.
function q.price(ARGV)
  local t = q.load(ARGV[1])
  if not q.reprice(t, ARGV[2], ARGV[3]) then return 0 end
  for _, reason in ipairs({ 'budget', 'token budget' }) do -- some of it may be left after all: the next claim looks
    if call('ZSCORE', P .. 'gate', 'claude|' .. reason) then q.open_entry('claude|' .. reason) end
  end
  q.note('priced', t.id, ARGV[2])
  q.wake_all()
  return 1
end
