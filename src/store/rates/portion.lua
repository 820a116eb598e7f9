-- A portion of a quota. KEYS[1] counts what was granted by second.
-- ARGV: most in the window, most in a second, wanted, seconds of the window.
local now = tonumber(redis.call('TIME')[1])
local all, total, this = redis.call('HGETALL', KEYS[1]), 0, 0
for at = 1, #all, 2 do
  local second, count = tonumber(all[at]), tonumber(all[at + 1])
  if second <= now - ARGV[4] then
    redis.call('HDEL', KEYS[1], all[at])
  else
    total = total + count
    if second == now then this = count end
  end
end
local portion = math.min(ARGV[3], ARGV[1] - total, ARGV[2] - this)
if portion <= 0 then return 0 end
redis.call('HINCRBY', KEYS[1], now, portion)
redis.call('EXPIRE', KEYS[1], 2 * ARGV[4])
return portion
