-- submit: a batch of tasks, the producer's cursor, and what its journal says of them, in one step.
-- ARGV: cursor name ('' for none), expected, next, number of tasks, the values of each (see insert), number of journal
-- entries, then for each: journal, what it says (a JSON object), place of its task in the batch (0: none), 1 when that
-- task is not to go in beside a live one of the same source.
-- Answers {'moved', actual} and writes nothing when the cursor is elsewhere, else {'ok', id, new, id, new, ...}; new is 1 for
-- a task that went in, 2 for one that was kept out, with the id of the live one, and 0 for one that stood there before.
-- Repeated after a lost reply: every task is known, and the cursor stands at `next`; it answers what stands there.
-- A cursor that somebody else moved to the same `next` without these tasks is 'moved' like any other.
local ENTRY = 4

local function submitted_before(ARGV, tasks)
  local answer = { 'ok' }
  for n = 0, tasks - 1 do
    local known = q.standing(ARGV[5 + n * q.FIELDS], ARGV[6 + n * q.FIELDS])
    if not known then return nil end
    answer[#answer + 1] = known
    answer[#answer + 1] = 0
  end
  return answer
end

-- What the journal says of each task of the batch, by its place, and the entries that stand for themselves.
local function entries_of(ARGV, first)
  local of_task, others = {}, {}
  for n = 0, tonumber(ARGV[first]) - 1 do
    local i = first + 1 + n * ENTRY
    local entry = { journal = ARGV[i], says = ARGV[i + 1], alone = ARGV[i + 3] == '1' }
    local place = tonumber(ARGV[i + 2])
    if place == 0 then others[#others + 1] = entry else of_task[place] = entry end
  end
  return of_task, others
end

-- One task that the journal tells of. A repeat says nothing a second time.
local function insert_told(ARGV, i, entry)
  local source = ARGV[i + 6]
  local other = entry.alone and not q.standing(ARGV[i], ARGV[i + 1]) and q.live_of(source)
  if other then
    q.keep_identity(ARGV[i + 1], other)
    q.tell(entry.journal, entry.says, other, 'skipped')
    return other, 2
  end
  local id, new = q.insert(ARGV, i)
  if new == 1 then
    call('HSET', P .. 'latest', source, id)
    q.tell(entry.journal, entry.says, id)
  end
  return id, new
end

function q.submit(ARGV)
  local cursor, expected, tasks = ARGV[1], ARGV[2], tonumber(ARGV[4])
  if cursor ~= '' then
    local actual = call('HGET', P .. 'cursors', cursor) or ''
    if actual ~= expected then
      return actual == ARGV[3] and submitted_before(ARGV, tasks) or { 'moved', actual }
    end
  end
  local of_task, others = entries_of(ARGV, 5 + tasks * q.FIELDS)
  local answer = { 'ok' }
  for _, entry in ipairs(others) do q.tell(entry.journal, entry.says, '') end
  for n = 0, tasks - 1 do
    local i, entry, id, new = 5 + n * q.FIELDS, of_task[n + 1], nil, nil
    if entry then id, new = insert_told(ARGV, i, entry) else id, new = q.insert(ARGV, i) end
    answer[#answer + 1] = id
    answer[#answer + 1] = new
  end
  if cursor ~= '' then call('HSET', P .. 'cursors', cursor, ARGV[3]) end
  return answer
end
