-- Revokes a key. KEYS: the agency's keys. ARGV: the key's name, the instant, and a
-- name of this call. Answers 1 if it was not revoked before.
local known = redis.call('HGET', KEYS[1], ARGV[1])
if not known then
  return 0
end
local key = cjson.decode(known)
if key.revoked ~= '' and key.by ~= ARGV[3] then
  return 0
end
key.revoked, key.by = ARGV[2], ARGV[3]
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(key))
return 1
