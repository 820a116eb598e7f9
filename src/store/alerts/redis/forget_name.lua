-- Forgets what a citizen was called before. KEYS: who took whose place. ARGV: the stem of every key,
-- and the former pseudonym.
local present = redis.call('HGET', KEYS[1], ARGV[2])
if present then
  redis.call('SREM', ARGV[1] .. 'former:' .. present, ARGV[2])
  redis.call('HDEL', KEYS[1], ARGV[2])
end
return 1
