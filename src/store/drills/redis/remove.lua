-- Takes a canary away. KEYS: canaries, and the mark of this call, by which one whose answer was
-- lost is answered alike. ARGV: device, how long a mark stays in ms. Answers whether there was one.
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  return redis.call('EXISTS', KEYS[2])
end
redis.call('SET', KEYS[2], 1, 'PX', ARGV[2])
redis.call('HDEL', KEYS[1], ARGV[1])
return 1
