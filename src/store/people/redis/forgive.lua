-- Forgets one failed login of an instant. KEYS: the failures, and the mark of this call, by which
-- one whose answer was lost is done once. ARGV: the instant in ms, how long a mark stays in ms.
if redis.call('SET', KEYS[2], 1, 'NX', 'PX', ARGV[2]) then
  local found = redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], ARGV[1], 'LIMIT', 0, 1)
  if found[1] then
    redis.call('ZREM', KEYS[1], found[1])
  end
end
