-- Takes every account from a person, and ends their sessions. KEYS: all accounts, the person's
-- sessions, when sessions end. ARGV: the stem of every key, and the person. Answers how many
-- accounts there were.
local stem, person, count = ARGV[1], ARGV[2], 0
local all = redis.call('HGETALL', KEYS[1])
for at = 1, #all, 2 do
  if all[at + 1] == person then
    redis.call('HDEL', KEYS[1], all[at])
    count = count + 1
  end
end
for _, token in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  redis.call('DEL', stem .. 's:' .. token)
  redis.call('ZREM', KEYS[3], token)
end
redis.call('DEL', KEYS[2])
return count
