-- One of a bucket. KEYS[1] holds when, in milliseconds, the bucket is full again.
-- ARGV: milliseconds one takes to come back, milliseconds of a whole burst.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now) + ARGV[1]
if full - now > tonumber(ARGV[2]) then return 0 end
redis.call('SET', KEYS[1], full, 'PX', full - now)
return 1
