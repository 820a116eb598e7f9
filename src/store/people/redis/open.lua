-- Opens a session; of more than so many of one person the oldest ends. KEYS: the session, the
-- person's sessions, when sessions end. ARGV: the stem of every key, token, person, when it was
-- opened and when it ends in ms, and the most of one person.
local stem, token = ARGV[1], ARGV[2]
redis.call('HSET', KEYS[1], 'person', ARGV[3], 'seen', ARGV[4], 'ends', ARGV[5])
redis.call('ZADD', KEYS[2], ARGV[4], token)
redis.call('ZADD', KEYS[3], ARGV[5], token)
local over = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[6])
-- One more is looked at: the new one itself may be among the oldest, and stays.
for _, old in ipairs(over > 0 and redis.call('ZRANGE', KEYS[2], 0, over) or {}) do
  if over > 0 and old ~= token then
    redis.call('DEL', stem .. 's:' .. old)
    redis.call('ZREM', KEYS[2], old)
    redis.call('ZREM', KEYS[3], old)
    over = over - 1
  end
end
