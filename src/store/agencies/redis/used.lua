-- Remembers a key's last use, which never goes back. KEYS: the agency's uses. ARGV: the key's
-- name, the instant.
local known = redis.call('HGET', KEYS[1], ARGV[1])
if not known or tonumber(known) < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
return 1
