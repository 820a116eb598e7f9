-- One of a bucket. KEYS[1] holds when, in microseconds, the bucket is full again.
-- ARGV: microseconds one takes to come back, microseconds of a whole burst.
-- Answers 0 if it is allowed, else microseconds until it is.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now) + ARGV[1]
local over = full - now - ARGV[2]
if over > 0 then return over end
redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000))
return 0
