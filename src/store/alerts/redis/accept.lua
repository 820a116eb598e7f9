-- Reserves publications: all of them, or none.
-- KEYS: the counter of changes to what is live. ARGV: the stem of every key; then for each:
-- id, identity, digest, chain, name ('' if it is no alert), subject ('' for an area), when it was
-- accepted and when it expires in ms, whether it can be live, whether it has XML, XML, body.
-- Answers for each '' if it is new, or the id of the same submission that came before; or
-- {'clash', place, id}, or {'taken', id}.
local stem, WIDTH = ARGV[1], 12
local seen, ids, answers = {}, {}, {}

for at = 2, #ARGV, WIDTH do
  local id, identity, digest = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local known = seen[identity] or redis.call('GET', stem .. 'i:' .. identity)
  if known then
    local first = string.sub(known, 1, 32)
    if string.sub(known, 33) ~= digest then
      return {'clash', (at - 2) / WIDTH, first}
    end
    -- The same call again, whose answer was lost, is new until it is logged.
    local again = first == id and not seen[identity]
      and redis.call('HEXISTS', stem .. 'p:' .. id, 'position') == 0
    answers[#answers + 1] = again and '' or first
  elseif ids[id] or redis.call('EXISTS', stem .. 'p:' .. id) == 1 then
    return {'taken', id}
  else
    seen[identity], ids[id] = id .. digest, true
    answers[#answers + 1] = ''
  end
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local changed = false

for at = 2, #ARGV, WIDTH do
  local id, identity = ARGV[at], ARGV[at + 1]
  if ids[id] then
    ids[id] = nil
    local row = stem .. 'p:' .. id
    -- Whoever still writes to a former pseudonym writes to the citizen all the same.
    local subject = redis.call('HGET', stem .. 'names', ARGV[at + 5]) or ARGV[at + 5]
    redis.call('SET', stem .. 'i:' .. identity, id .. ARGV[at + 2])
    redis.call('HSET', row, 'body', ARGV[at + 11], 'identity', identity, 'chain', ARGV[at + 3],
      'name', ARGV[at + 4], 'subject', subject, 'expires', ARGV[at + 7])
    if ARGV[at + 9] == '1' then
      redis.call('HSET', row, 'raw', ARGV[at + 10])
    end
    redis.call('ZADD', stem .. 'chain:' .. ARGV[at + 3], 0, id)
    if ARGV[at + 4] ~= '' then
      redis.call('ZADD', stem .. 'name:' .. ARGV[at + 4], 0, id)
    end
    if subject ~= '' then
      redis.call('ZADD', stem .. 'subject:' .. subject, 0, id)
    else
      redis.call('ZADD', stem .. 'area', 0, id)
    end
    redis.call('ZADD', stem .. 'unlogged', now, id)
    if ARGV[at + 8] == '1' then
      redis.call('ZREMRANGEBYSCORE', stem .. 'live', '-inf', ARGV[at + 6])
      redis.call('ZADD', stem .. 'live', ARGV[at + 7], id)
      changed = true
    end
  end
end

-- The time, so that the counter rises also after the server lost its last second.
if changed then
  local known = tonumber(redis.call('GET', KEYS[1]) or '0')
  local value = string.format('%.0f', math.max(known + 1, now))
  redis.call('SET', KEYS[1], value)
  redis.call('PUBLISH', KEYS[1], value)
end
return answers
