-- Drops sessions that ended before an instant. KEYS: when sessions end. ARGV: the stem of every
-- key, the instant in ms, how many at most. Answers how many.
local over = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[2], 'LIMIT', 0, ARGV[3])
for _, token in ipairs(over) do
  local person = redis.call('HGET', ARGV[1] .. 's:' .. token, 'person')
  if person then
    redis.call('ZREM', ARGV[1] .. 'of:' .. person, token)
  end
  redis.call('DEL', ARGV[1] .. 's:' .. token)
  redis.call('ZREM', KEYS[1], token)
end
return #over
