-- Takes a dispatch over, unless it is over: its term rises, and saves of earlier ones are refused.
-- The term is the server's time where that is higher, so that it rises also after the server lost
-- its last second. KEYS: its row. ARGV: the code of an open state, 1 to take it only if nobody has
-- it, then the fields to answer. Answers whether another worker has it and keeps it, and the row.
local row = KEYS[1]
local old = redis.call('HMGET', row, 'dispatch', 'state', 'term')
local anothers = 0
if old[1] and old[2] == ARGV[1] then
  local before = tonumber(old[3] or '0')
  if ARGV[2] == '1' and before > 0 then
    anothers = 1
  else
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    redis.call('HSET', row, 'term', string.format('%.0f', math.max(before + 1, now)))
  end
end
return {anothers, redis.call('HMGET', row, unpack(ARGV, 3))}
