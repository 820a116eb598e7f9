-- Begins a dispatch unless it was begun; a fence that awaited it freezes it.
-- KEYS: its row. ARGV: the fields of a fresh row. Answers 0 known, 1 new, 2 new and frozen.
local row = KEYS[1]
if redis.call('HEXISTS', row, 'dispatch') == 1 then
  return 0
end
local frozen = redis.call('HDEL', row, 'fence')
redis.call('HSET', row, 'frozen', frozen, 'saves', 0, unpack(ARGV))
return 1 + frozen
