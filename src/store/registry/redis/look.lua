-- Looks devices up. KEYS[1] is the counter of Seqs. ARGV: stem, by what, then what.
-- Answers key, number and record in turn; what is not there is left out.
local stem, by, out = ARGV[1], ARGV[2], {}

local function add(key, num)
  if not num or num == '' then return end
  local bucket = stem .. 'd:' .. math.floor((num - 1) / 64)
  local record = redis.call('LINDEX', bucket, (num - 1) % 64)
  if not record or record == '' then return end
  local n = #out
  out[n + 1], out[n + 2], out[n + 3] = key, tostring(num), record
end

if by == 'id' then
  for at = 3, #ARGV, 2 do
    add(ARGV[at + 1], redis.call('HGET', stem .. 'i:' .. ARGV[at], ARGV[at + 1]))
  end
elseif by == 'subject' then
  local all = redis.call('HGET', stem .. 's:' .. ARGV[3], ARGV[4]) or ''
  for first = 1, #all, 5 do add('', struct.unpack('>I5', all, first)) end
elseif by == 'num' then
  for at = 3, #ARGV do add('', tonumber(ARGV[at])) end
else
  for at = 3, #ARGV do
    local seq = tonumber(ARGV[at])
    add(ARGV[at], redis.call('LINDEX', stem .. 'm:' .. math.floor((seq - 1) / 64), (seq - 1) % 64))
  end
end
return out
