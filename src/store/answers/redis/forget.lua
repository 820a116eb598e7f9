-- Drops answers that were given before an instant. KEYS: when each was given, those with a text,
-- then rows and counts of "I am safe", rows and counts of surveys. ARGV: the instant in ms, how
-- many at most. Answers name, device and citizen of each.
local old = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[1], 'LIMIT', 0, ARGV[2])
local gone = {}
for _, member in ipairs(old) do
  local at = string.sub(member, 1, 1) == 'a' and 3 or 5
  local name = string.sub(member, 2)
  local row = redis.call('HGET', KEYS[at], name)
  local said = row and cjson.decode(row) or { {}, '', '' }
  for _, field in ipairs(said[1]) do
    if redis.call('HINCRBY', KEYS[at + 1], field, -1) <= 0 then
      redis.call('HDEL', KEYS[at + 1], field)
    end
  end
  redis.call('HDEL', KEYS[at], name)
  redis.call('ZREM', KEYS[1], member)
  redis.call('ZREM', KEYS[2], member)
  gone[#gone + 1] = member
  gone[#gone + 1] = said[2]
  gone[#gone + 1] = said[3]
end
return gone
