-- The late joiners' lease. KEYS[1] is its hash. ARGV: what, then its arguments.
local held = redis.call('HMGET', KEYS[1], 'owner', 'token', 'until', 'cursor')
local owner, token = held[1], tonumber(held[2] or '0')
local ends, cursor = tonumber(held[3] or '0'), tonumber(held[4] or '0')
if ARGV[1] == 'take' then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  if owner ~= ARGV[2] then
    if ends > now then return 0 end
    token = token + 1
  end
  redis.call('HSET', KEYS[1], 'owner', ARGV[2], 'token', token, 'until', now + ARGV[3])
  return token
elseif ARGV[1] == 'leave' then
  if token == tonumber(ARGV[2]) then redis.call('HSET', KEYS[1], 'until', 0, 'owner', '') end
  return 1
end
if token ~= tonumber(ARGV[2]) then return 0 end
if tonumber(ARGV[3]) > cursor then redis.call('HSET', KEYS[1], 'cursor', ARGV[3]) end
return 1
