-- A page of a range. KEYS[1] is the range's list of (Seq, number), sorted by Seq.
-- ARGV: stem, after, upto, limit. Answers entries and records in turn.
local stem, upto = ARGV[1], tonumber(ARGV[3])
local low = first_after(KEYS[1], tonumber(ARGV[2]))
local out, n = {}, 0
local page = redis.call('LRANGE', KEYS[1], low, low + tonumber(ARGV[4]) - 1)
for _, entry in ipairs(page) do
  local seq, num = struct.unpack('>I5I5', entry)
  if seq > upto then break end
  local key, index = stem .. 'd:' .. math.floor((num - 1) / 64), (num - 1) % 64
  out[n + 1], out[n + 2] = entry, redis.call('LINDEX', key, index) or ''
  n = n + 2
end
return out
