-- Adds or replaces a person. KEYS: people, passwords. ARGV: the stem of every key, id, body, the
-- password's hash ('' keeps it), whether sessions end, and the most people there may be.
-- Answers 0 if there are too many.
local stem, id = ARGV[1], ARGV[2]
local is_new = redis.call('HEXISTS', KEYS[1], id) == 0
if is_new and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[6]) then
  return 0
end
redis.call('HSET', KEYS[1], id, ARGV[3])
if ARGV[4] ~= '' then
  redis.call('HSET', KEYS[2], id, ARGV[4])
end
if ARGV[5] == '1' then
  local own = stem .. 'of:' .. id
  for _, token in ipairs(redis.call('ZRANGE', own, 0, -1)) do
    redis.call('DEL', stem .. 's:' .. token)
    redis.call('ZREM', stem .. 'ends', token)
  end
  redis.call('DEL', own)
end
return 1
