-- Deletes drafts that are closed and were not changed since an instant. KEYS: closed drafts by
-- their last change. ARGV: the stem of every key, the instant in ms, how many at most.
-- Answers how many.
local stem = ARGV[1]
local old = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[2], 'LIMIT', 0, ARGV[3])
for _, id in ipairs(old) do
  local row = stem .. 'd:' .. id
  local was = redis.call('HMGET', row, 'agency', 'state', 'publication')
  if was[1] then
    redis.call('ZREM', stem .. 'agency:' .. was[1], id)
    redis.call('ZREM', stem .. 'state:' .. was[2], id)
    redis.call('ZREM', stem .. 'both:' .. was[2] .. ':' .. was[1], id)
    if was[3] ~= '' then
      redis.call('UNLINK', stem .. 'of:' .. was[3])
    end
  end
  redis.call('ZREM', stem .. 'all', id)
  redis.call('ZREM', KEYS[1], id)
  redis.call('UNLINK', row)
end
return #old
