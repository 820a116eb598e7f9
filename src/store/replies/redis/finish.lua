-- Keeps a reply, if the lease is still the caller's. KEYS: the row. ARGV: token, status, headers,
-- body.
if redis.call('HGET', KEYS[1], 'token') == ARGV[1] then
  redis.call('HSET', KEYS[1], 'status', ARGV[2], 'headers', ARGV[3], 'body', ARGV[4])
end
return 1
