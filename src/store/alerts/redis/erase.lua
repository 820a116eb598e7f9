-- Destroys a citizen's key, and removes what was said to them alone.
-- KEYS: the list of the citizen's publications. ARGV: the stem of every key, and the citizen.
local stem = ARGV[1]
local handle = redis.call('GET', stem .. 'key:' .. ARGV[2])
if handle then
  redis.call('DEL', stem .. 'handle:' .. handle)
end
redis.call('DEL', stem .. 'key:' .. ARGV[2])
redis.call('ZREM', stem .. 'idle', ARGV[2])
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local row = stem .. 'p:' .. id
  local known = redis.call('HMGET', row, 'identity', 'chain')
  if known[1] then
    redis.call('DEL', stem .. 'i:' .. known[1])
    redis.call('ZREM', stem .. 'chain:' .. known[2], id)
  end
  redis.call('ZREM', stem .. 'unlogged', id)
  redis.call('ZREM', stem .. 'expiry', id)
  redis.call('DEL', row)
end
redis.call('DEL', KEYS[1])
return 1
