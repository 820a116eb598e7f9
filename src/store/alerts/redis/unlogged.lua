-- What was reserved and not logged within the lease; whoever is told has the lease now.
-- KEYS: the unlogged. ARGV: the lease in ms, and how many at most. Answers ids.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local over = string.format('%.0f', now - tonumber(ARGV[1]))
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', over, 'LIMIT', 0, ARGV[2])
for _, id in ipairs(ids) do
  redis.call('ZADD', KEYS[1], string.format('%.0f', now), id)
end
return ids
