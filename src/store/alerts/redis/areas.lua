-- Deletes areas' logged publications that expired before an instant, and frees their identities.
-- KEYS: the areas' publications. ARGV: the stem of every key, where to begin and to end in the list,
-- the instant in ms, and how many to look at. Answers the last looked at, and how many were deleted.
local stem, deleted = ARGV[1], 0
local ids = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[2], ARGV[3], 'LIMIT', 0, ARGV[5])
for _, id in ipairs(ids) do
  local row = stem .. 'p:' .. id
  local known = redis.call('HMGET', row, 'identity', 'chain', 'name', 'expires', 'position')
  if known[5] and tonumber(known[4]) < tonumber(ARGV[4]) then
    redis.call('UNLINK', stem .. 'i:' .. known[1])
    redis.call('ZREM', stem .. 'chain:' .. known[2], id)
    redis.call('ZREM', stem .. 'name:' .. known[3], id)
    redis.call('ZREM', stem .. 'live', id)
    redis.call('ZREM', stem .. 'expiry', id)
    redis.call('ZREM', KEYS[1], id)
    redis.call('UNLINK', row)
    deleted = deleted + 1
  end
end
return {ids[#ids] or '', deleted}
