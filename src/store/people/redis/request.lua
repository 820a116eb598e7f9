-- Adds or replaces a request. KEYS: requests, those that wait, those that are decided. ARGV: id,
-- body, when it was asked in ms, whether it waits, and the most that may wait. Answers 0 if too
-- many do.
local id = ARGV[1]
local others = redis.call('ZCARD', KEYS[2]) - (redis.call('ZSCORE', KEYS[2], id) and 1 or 0)
if others >= tonumber(ARGV[5]) then
  return 0
end
local waits = ARGV[4] == '1'
redis.call('HSET', KEYS[1], id, ARGV[2])
redis.call('ZADD', waits and KEYS[2] or KEYS[3], ARGV[3], id)
redis.call('ZREM', waits and KEYS[3] or KEYS[2], id)
return 1
