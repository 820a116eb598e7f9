-- Takes a row away if it is of a device or a citizen. KEYS: the rows, their counts, when each was
-- given, and those with a text. ARGV: the letter of this kind, the row's name, the device and the
-- citizen ('' for none). Answers the device and the citizen of the row it took away.
local row = redis.call('HGET', KEYS[1], ARGV[2])
local said = row and cjson.decode(row)
local of_device = said and ARGV[3] ~= '' and said[2] == ARGV[3]
local of_citizen = said and ARGV[4] ~= '' and said[3] == ARGV[4]
if not of_device and not of_citizen then
  return {}
end
for _, field in ipairs(said[1]) do
  if redis.call('HINCRBY', KEYS[2], field, -1) <= 0 then
    redis.call('HDEL', KEYS[2], field)
  end
end
redis.call('HDEL', KEYS[1], ARGV[2])
redis.call('ZREM', KEYS[3], ARGV[1] .. ARGV[2])
redis.call('ZREM', KEYS[4], ARGV[1] .. ARGV[2])
return {said[2], said[3]}
