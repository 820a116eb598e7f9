-- Remembers where publications are on the log: of all, or, if one is unknown, of none. The first
-- position stays. KEYS: the counter, for its tag. ARGV: the stem of every key, then id and
-- position in turn. Answers '' or the unknown id.
local stem = ARGV[1]
for at = 2, #ARGV, 2 do
  if redis.call('EXISTS', stem .. 'p:' .. ARGV[at]) == 0 then
    return ARGV[at]
  end
end
for at = 2, #ARGV, 2 do
  local id = ARGV[at]
  local row = stem .. 'p:' .. id
  redis.call('HSETNX', row, 'position', ARGV[at + 1])
  redis.call('ZREM', stem .. 'unlogged', id)
  redis.call('ZADD', stem .. 'expiry', redis.call('HGET', row, 'expires'), id)
end
return ''
