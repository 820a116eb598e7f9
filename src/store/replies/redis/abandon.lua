-- Frees a key whose request was not done, if the lease is still the caller's. KEYS: the row.
-- ARGV: token.
local known = redis.call('HMGET', KEYS[1], 'token', 'status')
if known[1] == ARGV[1] and not known[2] then
  redis.call('DEL', KEYS[1])
end
return 1
