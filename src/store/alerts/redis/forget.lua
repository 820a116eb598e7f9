-- Deletes citizens' logged publications that expired before an instant, and frees their identities.
-- Areas' leave this list alone: they have their own (areas.lua).
-- KEYS: the expiry of what is logged. ARGV: the stem of every key, the instant in ms, and how many
-- at most. Answers how many were looked at, and how many deleted.
local stem, deleted = ARGV[1], 0
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[2], 'LIMIT', 0, ARGV[3])
for _, id in ipairs(ids) do
  local row = stem .. 'p:' .. id
  local known = redis.call('HMGET', row, 'identity', 'chain', 'subject')
  if known[1] and known[3] ~= '' then
    local list = stem .. 'subject:' .. known[3]
    redis.call('UNLINK', stem .. 'i:' .. known[1])
    redis.call('ZREM', stem .. 'chain:' .. known[2], id)
    redis.call('ZREM', list, id)
    redis.call('UNLINK', row)
    deleted = deleted + 1
    -- The citizen's key is idle from now on (idle.lua), by the clock that the instant is of.
    if redis.call('ZCARD', list) == 0 then
      redis.call('ZADD', stem .. 'idle', 'NX', ARGV[2], known[3])
    end
  end
  redis.call('ZREM', KEYS[1], id)
end
return {#ids, deleted}
