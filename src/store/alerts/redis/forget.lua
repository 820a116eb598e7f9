-- Deletes logged publications that expired before an instant, and frees their identities.
-- KEYS: the expiry of what is logged. ARGV: the stem of every key, the instant in ms, and how many
-- at most. Answers how many.
local stem = ARGV[1]
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[2], 'LIMIT', 0, ARGV[3])
for _, id in ipairs(ids) do
  local row = stem .. 'p:' .. id
  local known = redis.call('HMGET', row, 'identity', 'chain', 'name', 'subject')
  if known[1] then
    redis.call('UNLINK', stem .. 'i:' .. known[1])
    redis.call('ZREM', stem .. 'chain:' .. known[2], id)
    redis.call('ZREM', stem .. 'name:' .. known[3], id)
    redis.call('ZREM', stem .. 'subject:' .. known[4], id)
  end
  redis.call('ZREM', stem .. 'area', id)
  redis.call('ZREM', stem .. 'live', id)
  redis.call('UNLINK', row)
  redis.call('ZREM', KEYS[1], id)
end
return #ids
