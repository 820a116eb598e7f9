-- Remembers how far parts of the log are counted: now, and as it was a while ago.
-- KEYS: the checkpoints. ARGV: the instant in ms, the while in ms; then part and offset in turn.
-- Of each part: `part` the newest offset, `part@ms` since when `part@new` stands, and `part@old`,
-- which is at least the while older than whatever is newest.
for at = 3, #ARGV, 2 do
  local part, offset = ARGV[at], ARGV[at + 1]
  local known = redis.call('HMGET', KEYS[1], part, part .. '@ms', part .. '@new')
  if not known[1] or tonumber(offset) > tonumber(known[1]) then
    redis.call('HSET', KEYS[1], part, offset)
  end
  if not known[2] then
    redis.call('HSET', KEYS[1], part .. '@ms', ARGV[1], part .. '@new', offset)
  elseif tonumber(ARGV[1]) - tonumber(known[2]) >= tonumber(ARGV[2]) then
    redis.call('HSET', KEYS[1], part .. '@ms', ARGV[1], part .. '@new', offset,
      part .. '@old', known[3])
  end
end
return 1
