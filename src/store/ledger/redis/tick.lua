-- Tells every node that something changed. The number is the time, so that it rises also after
-- the server lost its last second. KEYS: the counter.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = tonumber(redis.call('GET', KEYS[1]) or '0')
local value = string.format('%.0f', math.max(known + 1, now))
redis.call('SET', KEYS[1], value)
redis.call('PUBLISH', KEYS[1], value)
return value
