-- Puts a row under another name, if it is still the one that was read; where there is one of that
-- name already, that one stays and this one goes. KEYS: the rows, their counts, when each was given,
-- and those with a text. ARGV: the letter of this kind, the name and the row as it was read, the
-- other name and the row as it is to be. Answers whether nobody had changed it.
local letter, name, other = ARGV[1], ARGV[2], ARGV[4]
local row = redis.call('HGET', KEYS[1], name)
if row ~= ARGV[3] then
  return row == ARGV[5] and 1 or 0
end
local taken = other ~= name and redis.call('HEXISTS', KEYS[1], other) == 1
redis.call('HDEL', KEYS[1], name)
if taken then
  for _, field in ipairs(cjson.decode(row)[1]) do
    if redis.call('HINCRBY', KEYS[2], field, -1) <= 0 then
      redis.call('HDEL', KEYS[2], field)
    end
  end
else
  redis.call('HSET', KEYS[1], other, ARGV[5])
end
for at = 3, 4 do
  local score = redis.call('ZSCORE', KEYS[at], letter .. name)
  redis.call('ZREM', KEYS[at], letter .. name)
  if score and not taken then
    redis.call('ZADD', KEYS[at], score, letter .. other)
  end
end
return 1
