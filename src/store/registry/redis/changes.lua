-- Memberships of every range after a Seq. KEYS[1] is the counter of Seqs.
-- ARGV: stem, after, limit, most buckets. Answers how far it looked, then Seq, number and record
-- in turn.
local stem, after, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local last = tonumber(redis.call('GET', KEYS[1]) or '0')
local out, n, looked = { tostring(last) }, 1, 0
local seq = after + 1
while seq <= last do
  if looked >= tonumber(ARGV[4]) then
    out[1] = tostring(seq - 1)
    return out
  end
  looked = looked + 1
  local bucket, first = math.floor((seq - 1) / 64), (seq - 1) % 64
  local nums = redis.call('LRANGE', stem .. 'm:' .. bucket, first, -1)
  for offset, num in ipairs(nums) do
    if num ~= '' then
      local key = stem .. 'd:' .. math.floor((num - 1) / 64)
      out[n + 1], out[n + 2] = tostring(seq + offset - 1), num
      out[n + 3] = redis.call('LINDEX', key, (num - 1) % 64) or ''
      n = n + 3
      if n > 3 * limit then
        out[1] = tostring(seq + offset - 1)
        return out
      end
    end
  end
  seq = (bucket + 1) * 64 + 1
end
return out
