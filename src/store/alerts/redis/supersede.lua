-- Remembers what was replaced or withdrawn; what was before stays so by the first.
-- KEYS: the counter of changes to what is live. ARGV: the stem of every key, by whom, and the ids.
local stem, by, changed = ARGV[1], ARGV[2], false
for at = 3, #ARGV do
  local id = ARGV[at]
  if id ~= by and redis.call('EXISTS', stem .. 'p:' .. id) == 1 then
    redis.call('HSETNX', stem .. 'p:' .. id, 'by', by)
    changed = redis.call('ZREM', stem .. 'live', id) == 1 or changed
  end
end
if changed then
  local time = redis.call('TIME')
  local known = tonumber(redis.call('GET', KEYS[1]) or '0')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local value = string.format('%.0f', math.max(known + 1, now))
  redis.call('SET', KEYS[1], value)
  redis.call('PUBLISH', KEYS[1], value)
end
return 1
