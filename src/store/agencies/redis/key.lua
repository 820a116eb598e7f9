-- Makes a key for an agency. KEYS: agencies, the agency's keys, who has a digest. ARGV: the
-- agency, the key's name, its digest, when it was made, when it expires ('' for never), how many
-- an agency may have, and the certificate it is bound to ('' for none). Answers 0 made, 1 unknown
-- agency, 2 name taken, 3 too many.
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  return 1
end
local known = redis.call('HGET', KEYS[2], ARGV[2])
if known then
  -- The same call again, whose answer was lost.
  return cjson.decode(known).digest == ARGV[3] and 0 or 2
end
if redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[6]) then
  return 3
end
local key = {digest = ARGV[3], created = ARGV[4], expires = ARGV[5], revoked = ''}
key.certificate = ARGV[7]
redis.call('HSET', KEYS[2], ARGV[2], cjson.encode(key))
redis.call('HSET', KEYS[3], ARGV[3], cjson.encode({ARGV[1], ARGV[2]}))
return 0
