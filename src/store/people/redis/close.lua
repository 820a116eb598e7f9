-- Ends a session. KEYS: the session, when sessions end, and the mark of this call, by which one
-- whose answer was lost is answered alike. ARGV: the stem of every key, token, how long a mark
-- stays in ms. Answers whether there was a session.
local person = redis.call('HGET', KEYS[1], 'person')
if not person then
  return redis.call('EXISTS', KEYS[3])
end
redis.call('SET', KEYS[3], 1, 'PX', ARGV[3])
redis.call('DEL', KEYS[1])
redis.call('ZREM', ARGV[1] .. 'of:' .. person, ARGV[2])
redis.call('ZREM', KEYS[2], ARGV[2])
return 1
