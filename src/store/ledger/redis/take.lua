-- Takes a dispatch over, unless it is over: its term rises, and saves of earlier ones are refused.
-- The term is the server's time where that is higher, so that it rises also after the server lost
-- its last second. KEYS: its row. ARGV: the code of an open state, then the fields to answer.
local row = KEYS[1]
local old = redis.call('HMGET', row, 'dispatch', 'state', 'term')
if old[1] and old[2] == ARGV[1] then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local term = math.max(tonumber(old[3] or '0') + 1, now)
  redis.call('HSET', row, 'term', string.format('%.0f', term))
end
return redis.call('HMGET', row, unpack(ARGV, 2))
