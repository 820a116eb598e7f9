-- Remembers a link test, once; the oldest makes room. KEYS: tests, their counter. ARGV: the test,
-- with a mark of its own, and the most that are kept.
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  return
end
local number = redis.call('INCR', KEYS[2])
redis.call('ZADD', KEYS[1], number, ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[2]))
redis.call('PUBLISH', KEYS[2], number)
