-- Appends an entry if the chain still ends where its writer saw it end. KEYS: the head, the list
-- that the entry goes to, the entries of its object and of its actor. ARGV: the number and hash of
-- the head that was seen, the hash that stands before the first entry, and the entry's number,
-- hash, text and place in its list. Answers nothing if it is done, else the head as it is.
local head = redis.call('HMGET', KEYS[1], 'seq', 'hash')
local seq, hash = head[1] or '0', head[2] or ARGV[3]
if redis.call('LINDEX', KEYS[2], ARGV[7]) == ARGV[5] .. ARGV[6] then
  -- The same call again, whose answer was lost.
  return {}
elseif seq ~= ARGV[1] or hash ~= ARGV[2] then
  return { seq, hash }
elseif redis.call('LLEN', KEYS[2]) ~= tonumber(ARGV[7]) then
  return redis.error_reply('ERR the audit ends at ' .. seq .. ' and its entries do not')
end
redis.call('RPUSH', KEYS[2], ARGV[5] .. ARGV[6])
redis.call('ZADD', KEYS[3], ARGV[4], ARGV[4])
redis.call('ZADD', KEYS[4], ARGV[4], ARGV[4])
redis.call('HSET', KEYS[1], 'seq', ARGV[4], 'hash', ARGV[5])
return {}
