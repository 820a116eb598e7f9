-- Whose key has a digest. KEYS: who has a digest, agencies. ARGV: the stem of every key, the
-- digest. Answers agency, key, name and last use, or nothing.
local owner = redis.call('HGET', KEYS[1], ARGV[2])
if not owner then
  return {}
end
local agency, name = unpack(cjson.decode(owner))
local body = redis.call('HGET', KEYS[2], agency)
local key = redis.call('HGET', ARGV[1] .. 'keys:' .. agency, name)
local used = redis.call('HGET', ARGV[1] .. 'used:' .. agency, name)
return {body or '', key or '', name, used or ''}
