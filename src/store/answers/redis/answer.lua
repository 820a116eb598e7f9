-- Replaces what somebody said. KEYS: the rows, their counts, when each was given, and those with a
-- text. ARGV: the letter of this kind, when in ms, whether there is a text, the new row ('' for
-- none), under which name it goes, and the name of what else is replaced.
-- A row is JSON: counted fields, device, citizen, and what only the store reads.
local letter, name, other = ARGV[1], ARGV[5], ARGV[6]

local function drop(name)
  local row = redis.call('HGET', KEYS[1], name)
  if not row then
    return
  end
  for _, field in ipairs(cjson.decode(row)[1]) do
    if redis.call('HINCRBY', KEYS[2], field, -1) <= 0 then
      redis.call('HDEL', KEYS[2], field)
    end
  end
  redis.call('HDEL', KEYS[1], name)
  redis.call('ZREM', KEYS[3], letter .. name)
  redis.call('ZREM', KEYS[4], letter .. name)
end

if redis.call('HGET', KEYS[1], name) == ARGV[4] then
  -- The same call again, whose answer was lost.
  return
end
drop(name)
drop(other)
if ARGV[4] ~= '' then
  redis.call('HSET', KEYS[1], name, ARGV[4])
  for _, field in ipairs(cjson.decode(ARGV[4])[1]) do
    redis.call('HINCRBY', KEYS[2], field, 1)
  end
  redis.call('ZADD', KEYS[3], ARGV[2], letter .. name)
  if ARGV[3] == '1' then
    redis.call('ZADD', KEYS[4], ARGV[2], letter .. name)
  end
end
