-- Decides a request that waits and is still what was read. KEYS: requests, those that wait, those
-- that are decided. ARGV: id, the body that was read, the new body, when it was asked in ms.
-- Answers 1 if it is done, 0 if it waits no longer, 2 if it is to be read again.
local id = ARGV[1]
local body = redis.call('HGET', KEYS[1], id)
if body == ARGV[3] then
  return 1
elseif not redis.call('ZSCORE', KEYS[2], id) then
  return 0
elseif body ~= ARGV[2] then
  return 2
end
redis.call('HSET', KEYS[1], id, ARGV[3])
redis.call('ZADD', KEYS[3], ARGV[4], id)
redis.call('ZREM', KEYS[2], id)
return 1
