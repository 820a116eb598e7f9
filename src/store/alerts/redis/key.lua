-- The key of a citizen: the one that is kept, or else the caller's from now on.
-- KEYS: where the citizen's handle is. ARGV: the stem of every key, a new handle and its key, and the
-- citizen. Answers the handle and the key, which is not idle now.
redis.call('ZREM', ARGV[1] .. 'idle', ARGV[4])
local handle = redis.call('GET', KEYS[1])
local key = handle and redis.call('GET', ARGV[1] .. 'handle:' .. handle)
if key then
  return {handle, key}
end
redis.call('SET', ARGV[1] .. 'handle:' .. ARGV[2], ARGV[3])
redis.call('SET', KEYS[1], ARGV[2])
return {ARGV[2], ARGV[3]}
