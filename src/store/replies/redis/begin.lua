-- Begins a request. KEYS: its row. ARGV: digest, now, since when a reply is kept, until when a
-- lease holds that began before (all in ms), token, and for how long the row stays.
-- Answers {'new'}, {'busy'}, {'mismatch'} or {'reply', status, headers, body}.
local row = KEYS[1]
local known = redis.call('HMGET', row, 'digest', 'begun', 'token', 'status', 'headers', 'body')
if known[1] and tonumber(known[2]) > tonumber(ARGV[3]) then
  if known[1] ~= ARGV[1] then
    return {'mismatch'}
  end
  if known[4] then
    return {'reply', known[4], known[5], known[6]}
  end
  -- The same call again, whose answer was lost, has its own lease.
  if tonumber(known[2]) > tonumber(ARGV[4]) and known[3] ~= ARGV[5] then
    return {'busy'}
  end
end
redis.call('DEL', row)
redis.call('HSET', row, 'digest', ARGV[1], 'begun', ARGV[2], 'token', ARGV[5])
redis.call('PEXPIRE', row, ARGV[6])
return {'new'}
