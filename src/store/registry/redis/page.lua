-- The entries of a page of a range. KEYS[1] is the range's list of (Seq, number), sorted by Seq.
-- ARGV: after, upto, limit. Answers them one behind the other.
local upto, low = tonumber(ARGV[2]), first_after(KEYS[1], tonumber(ARGV[1]))
local out, n = {}, 0
for _, entry in ipairs(redis.call('LRANGE', KEYS[1], low, low + tonumber(ARGV[3]) - 1)) do
  if struct.unpack('>I5', entry) > upto then break end
  n = n + 1
  out[n] = entry
end
return table.concat(out)
