-- Destroys a citizen's keys, and removes what was said to them alone and what they were called.
-- KEYS: the list of the citizen's publications. ARGV: the stem of every key, and the citizen.
local stem = ARGV[1]
local handles = redis.call('SMEMBERS', stem .. 'handles:' .. ARGV[2])
handles[#handles + 1] = redis.call('GET', stem .. 'key:' .. ARGV[2]) or nil
for _, handle in ipairs(handles) do
  redis.call('DEL', stem .. 'handle:' .. handle, stem .. 'holder:' .. handle)
end
redis.call('DEL', stem .. 'key:' .. ARGV[2], stem .. 'handles:' .. ARGV[2])
for _, name in ipairs(redis.call('SMEMBERS', stem .. 'former:' .. ARGV[2])) do
  redis.call('HDEL', stem .. 'names', name)
end
redis.call('DEL', stem .. 'former:' .. ARGV[2])
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
