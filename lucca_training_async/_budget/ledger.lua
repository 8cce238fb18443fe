-- The budget of one tenant, as tenant.py has it, in one atomic step.
--
-- KEYS: slots (a sorted set: token -> when it counts no more) and state (a hash: everything else).
-- ARGV: the steps as JSON, a name for a tenant that is new, for how long it is waited if its data
-- may be lost and nobody has named a period (seconds), for how long the keys are kept at least
-- (milliseconds), and the time, if it is not to be the server's.
--
-- Times are stored with six decimals, as Lua would write fourteen digits only, and go over the wire
-- as seconds from now.
local slots_key, state_key = KEYS[1], KEYS[2]
local steps = cjson.decode(ARGV[1])
local now = tonumber(ARGV[5])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) + tonumber(time[2]) / 1000000
end
local INFINITE, FORMAT = 1e18, '1'

local function text(number)
  return string.format('%.6f', number)
end

-- What is there.

local state = {}
local fields = redis.call('HGETALL', state_key)
for i = 1, #fields, 2 do
  state[fields[i]] = fields[i + 1]
end

if state.born and state.format ~= FORMAT then
  return redis.error_reply('FORMAT ' .. tostring(state.format) .. ' is not ' .. FORMAT)
end

local slots, members = {}, {}
local ranked = redis.call('ZRANGE', slots_key, 0, -1, 'WITHSCORES')
for i = 1, #ranked, 2 do
  local token = ranked[i]
  local slot = {client = string.match(token, '^(.*):'), free_at = tonumber(ranked[i + 1]), round = 0}
  local held = state['h:' .. token]
  if held then
    local round, held_until = string.match(held, '^(%S+) (%S+)$')
    slot.round, slot.held_until = tonumber(round), tonumber(held_until)
  end
  slots[token] = slot
end
for field, value in pairs(state) do
  if string.sub(field, 1, 2) == 'c:' then
    local part = {}
    for word in string.gmatch(value, '%S+') do
      part[#part + 1] = tonumber(word) or false
    end
    members[string.sub(field, 3)] = {
      seen_at = part[1], requests = part[2], period = part[3], back_at = part[4],
      waits_since = part[5], is_bulk = part[6] == 1,
    }
  end
end

-- A state without its slots, or slots without a state, is none: something was thrown away.
local is_new = state.born == nil or (tonumber(state.busy_until) > now and #ranked == 0)
local tenant = {
  born = is_new and ARGV[2] or state.born,
  born_at = is_new and now or tonumber(state.born_at),
  touched_at = is_new and now or tonumber(state.touched_at),
  round = tonumber(state.round or '0'), allowed = tonumber(state.allowed or ''),
  opens_at = tonumber(state.opens_at or '0'), closed_by = state.closed_by or 'pause',
}
local pace = {
  is_fresh = (is_new and '1' or state.is_fresh) == '1',
  due_at = is_new and -INFINITE or tonumber(state.due_at),
  people_at = is_new and -INFINITE or tonumber(state.people_at),
  taken_at = is_new and -INFINITE or tonumber(state.taken_at),
}

-- Another server than the one that was written to, a replica perhaps, or one that has read its
-- file again: what was written last may be missing. Not everybody may ask who it is.
local info = redis.pcall('INFO', 'server')
local run = type(info) == 'string' and string.match(info, 'run_id:(%w+)') or state.run
local is_other = not is_new and state.run and run ~= state.run

-- Time. That of another server, as a clock that has gone back, tells nothing of how much has passed:
-- none, then.

if now < tenant.touched_at or is_other then
  local back = now - tenant.touched_at
  tenant.born_at = tenant.born_at + back
  tenant.opens_at = tenant.opens_at + back
  for _, name in ipairs({'due_at', 'people_at', 'taken_at'}) do
    pace[name] = pace[name] + back
  end
  for _, slot in pairs(slots) do
    slot.free_at = slot.free_at + back
    slot.held_until = slot.held_until and slot.held_until + back
  end
  for _, member in pairs(members) do
    member.seen_at, member.back_at = member.seen_at + back, member.back_at + back
    member.waits_since = member.waits_since and member.waits_since + back
  end
end
tenant.touched_at = now
for token, slot in pairs(slots) do
  if slot.free_at <= now then slots[token] = nil end
end
for name, member in pairs(members) do
  if member.seen_at + 10 * member.period <= now then members[name] = nil end
end

local function is_held(slot)
  return slot.held_until and slot.held_until > now
end

local function count(rows)
  local number = 0
  for _ in pairs(rows) do number = number + 1 end
  return number
end

local function close(seconds, cause)
  if now + seconds >= tenant.opens_at then
    tenant.opens_at, tenant.closed_by = now + seconds, cause
  end
  tenant.round, tenant.allowed = tenant.round + 1, 1
end

if is_other then
  -- Whoever tells first may only have a request to settle, which names no period.
  local longest = 0
  for _, member in pairs(members) do
    longest = math.max(longest, member.period)
  end
  close(longest > 0 and longest or tonumber(ARGV[3]), 'doubt')
  -- By another name, everybody learns of it, and tells what he knows.
  tenant.born, tenant.born_at = ARGV[2], now
end

-- What clients do.

local function meet(ask)
  local member = members[ask.client] or {back_at = now, waits_since = false}
  member.seen_at, member.requests, member.period = now, ask.requests or false, ask.period
  members[ask.client] = member
  return member
end

local function limit_of(ask)
  if not ask.requests then
    return INFINITE
  end
  local limit = ask.requests
  for _, member in pairs(members) do
    if member.requests and member.requests < limit then
      limit = member.requests
    end
  end
  return limit
end

local function starts_slowly_for(client)
  if not tenant.allowed then
    return nil
  end
  local under_way, mine = 0, 0
  for _, slot in pairs(slots) do
    if slot.round == tenant.round and is_held(slot) then
      under_way = under_way + 1
      mine = mine + (slot.client == client and 1 or 0)
    end
  end
  if under_way < tenant.allowed then
    return nil
  end
  return mine == under_way and INFINITE or 0
end

local function is_bulk(ask)
  return ask.lane ~= 'interactive'
end

-- What counts for a request, and how much of each there may be.
local function counts_for(ask, bulk)
  local limit = limit_of(ask)
  local counts = {{slots = slots, number = count(slots), room = limit}}
  if bulk and ask.reserved > 0 then
    local some = {}
    for token, slot in pairs(slots) do
      if string.match(token, ':bulk%-%d+$') then
        some[token] = slot
      end
    end
    local room = math.max(math.min(1, limit), limit - ask.reserved)
    counts[2] = {slots = some, number = count(some), room = room}
  end
  return counts
end

local function left_of(counts)
  local left = INFINITE
  for _, counted in ipairs(counts) do
    left = math.min(left, counted.room - counted.number)
  end
  return left
end

local function free_in(ask, counted, poll)
  local too_many = counted.number - counted.room + 1
  if too_many <= 0 then
    return 0
  end
  local settled, others = {}, INFINITE
  for _, slot in pairs(counted.slots) do
    if not is_held(slot) then
      settled[#settled + 1] = slot.free_at - now
    end
    if slot.client ~= ask.client then
      others = math.min(others, slot.free_at - now, poll)
    end
  end
  table.sort(settled)
  return settled[too_many] or others
end

-- How bulk requests are spread; see pace.py.

local function is_held_back(ask)
  if not is_bulk(ask) or pace.is_fresh then
    return false
  end
  return ask.lane == 'long bulk' or now < pace.people_at + 10 * ask.period
end

local function due_in(ask)
  return is_held_back(ask) and math.max(0, pace.due_at - now) or 0
end

local function goes_first(one, other)
  return other.is_bulk and not one.is_bulk
end

local function since(member)
  return member.waits_since or now
end

local function is_to_leave_it(ask, member)
  local counts = counts_for(ask, is_bulk(ask))
  local counted = counts[#counts]
  if counted.room == INFINITE then
    return false
  end
  local moment = math.min(1, math.max(0.05, ask.period / 10))
  local used = {}
  for _, slot in pairs(counted.slots) do
    used[slot.client] = (used[slot.client] or 0) + 1
  end
  local wanting = {}
  for name, other in pairs(members) do
    local is_rival = is_bulk(ask) or not other.is_bulk -- people leave nothing to bulk requests
    if name ~= ask.client and other.back_at + moment >= now and is_rival then
      wanting[name] = other
    end
  end
  local share = math.max(1, math.floor(counted.room / (count(wanting) + 1)))
  local free, kept, before = is_held_back(ask) and 1 or left_of(counts), 0, 0
  for name, other in pairs(wanting) do
    local is_first = goes_first(other, member)
    if other.back_at <= now and ((used[name] or 0) < share or is_first) then
      kept = kept + math.max(1, share - (used[name] or 0))
      before = before + ((is_first or since(other) < since(member)) and 1 or 0)
    end
  end
  if (used[ask.client] or 0) >= share then
    return free <= kept
  end
  return free <= before
end

local function wait_of(ask, member)
  local poll = math.min(0.25, math.max(0.02, ask.period / 100))
  if tenant.opens_at > now then
    return tenant.opens_at - now, tenant.closed_by
  end
  local slow = starts_slowly_for(ask.client)
  if slow then
    return math.max(slow, poll), nil, tenant.allowed == 1
  end
  local seconds = due_in(ask)
  for _, counted in ipairs(counts_for(ask, is_bulk(ask))) do
    seconds = math.max(seconds, free_in(ask, counted, poll))
  end
  if seconds > 0 then
    return seconds
  end
  if count(members) > 1 and is_to_leave_it(ask, member) then
    return poll
  end
  return nil
end

local act = {}

function act.take(ask)
  if slots[ask.token] then
    return nil
  end
  local member = meet(ask)
  member.is_bulk = is_bulk(ask)
  if now >= pace.taken_at + 2 * ask.period then
    pace.is_fresh = true
  end
  local wait, closed, is_probing = wait_of(ask, member)
  if not wait then
    pace.taken_at = now
    if is_bulk(ask) then
      local every = ask.period / math.max(1, limit_of(ask))
      local is_in_step = now >= pace.due_at and now - pace.due_at < every
      pace.due_at = (is_in_step and pace.due_at or now) + every
    else
      pace.people_at = now
    end
    slots[ask.token] = {
      client = ask.client, free_at = now + ask.ends_in, round = tenant.round,
      held_until = now + ask.held_for,
    }
    if left_of(counts_for(ask, true)) <= 0 then
      pace.is_fresh = false
    end
    member.back_at, member.waits_since = now, false
    return nil
  end
  member.back_at = wait < INFINITE and now + wait or now
  member.waits_since = member.waits_since or now
  return {wait < INFINITE and wait or -1, closed or false, is_probing or false}
end

function act.meet(ask)
  meet(ask)
end

function act.settle(step)
  local slot = slots[step.token]
  slots[step.token] = nil
  if slot and slot.held_until and step.answered and step.round == tenant.round and tenant.allowed then
    tenant.allowed = tenant.allowed + 1
  end
  if step.counted_for > 0 then
    slots[step.token] = {client = step.client, free_at = now + step.counted_for, round = step.round}
  end
end

function act.close(step)
  close(step.seconds, step.cause)
end

function act.restore(step)
  for token, slot in pairs(slots) do
    if slot.client == step.client then slots[token] = nil end
  end
  for token, kept in pairs(step.slots) do
    slots[token] = {
      client = step.client, free_at = now + kept.free_in, round = kept.round,
      held_until = kept.held_for and now + kept.held_for,
    }
  end
end

function act.leave(step)
  members[step.client] = nil
end

local answer
for _, step in ipairs(steps) do
  answer = act[step.kind](step)
end

-- What is to be written and told, before anything is: what a script has written stays if it fails.

local busy_until, last_until = 0, tenant.opens_at
local ranks, told_slots, told_members = {}, {}, {}
local written = {
  'format', FORMAT, 'born', tenant.born, 'born_at', text(tenant.born_at), 'touched_at', text(now),
  'is_fresh', pace.is_fresh and 1 or 0, 'due_at', text(pace.due_at), 'people_at', text(pace.people_at),
  'taken_at', text(pace.taken_at),
  'round', tenant.round, 'opens_at', text(tenant.opens_at), 'closed_by', tenant.closed_by,
}
local function write(field, value)
  written[#written + 1] = field
  written[#written + 1] = value
end
for token, slot in pairs(slots) do
  ranks[#ranks + 1] = text(slot.free_at)
  ranks[#ranks + 1] = token
  busy_until = math.max(busy_until, slot.free_at)
  if slot.held_until then
    write('h:' .. token, slot.round .. ' ' .. text(slot.held_until))
  end
  told_slots[#told_slots + 1] = {
    token, slot.client, slot.free_at - now, slot.round, slot.held_until and slot.held_until - now or false,
  }
end
for name, member in pairs(members) do
  last_until = math.max(last_until, member.seen_at + 10 * member.period)
  write('c:' .. name, table.concat({
    text(member.seen_at), tostring(member.requests), text(member.period), text(member.back_at),
    member.waits_since and text(member.waits_since) or 'false', member.is_bulk and '1' or '0',
  }, ' '))
  told_members[#told_members + 1] = {
    name, member.seen_at - now, member.requests, member.period, member.back_at - now,
    member.waits_since and member.waits_since - now or false, member.is_bulk or false,
  }
end
write('busy_until', text(busy_until))
if tenant.allowed then
  write('allowed', tenant.allowed)
end
if run then
  write('run', run)
end
local told = cjson.encode({
  born = tenant.born, born_at = tenant.born_at - now, slots = told_slots, members = told_members,
  round = tenant.round, allowed = tenant.allowed or false, opens_at = tenant.opens_at - now,
  closed_by = tenant.closed_by, answer = answer or false,
  pace = {pace.is_fresh, pace.due_at - now, pace.people_at - now, pace.taken_at - now},
})

-- Written anew, as it is small; in parts, as Lua's stack has room for some thousands.
local function write_all(command, key, values)
  for first = 1, #values, 1000 do
    redis.call(command, key, unpack(values, first, math.min(first + 999, #values)))
  end
end
redis.call('DEL', slots_key, state_key)
write_all('ZADD', slots_key, ranks)
write_all('HSET', state_key, written)
local longest = (math.max(last_until, busy_until) - now) * 1000
local kept_for = string.format('%.0f', math.ceil(math.max(tonumber(ARGV[4]), longest)))
redis.call('PEXPIRE', slots_key, kept_for)
redis.call('PEXPIRE', state_key, kept_for)

return told
