-- Saves what a worker says, unless the dispatch is fenced against it.
-- KEYS: its row. ARGV: state, intent, cursor, counts, latency, unreached, retries, and the number
-- of saves after which a frozen row was found to allow this one, or ''.
-- Answers 0 unknown, 1 saved, 2 behind another worker, 3 frozen: the caller looks.
-- (Seqs rise by one from 0: Lua's numbers are exact far beyond them.)
local row = KEYS[1]
local old = redis.call('HMGET', row, 'cursor', 'intent', 'frozen', 'saves')
if not old[1] then
  return 0
end
if tonumber(ARGV[3]) < tonumber(old[1]) then
  return 2
end
if old[3] ~= '0' and ARGV[8] ~= old[4] then
  return 3
end
local intent = ARGV[2]
if tonumber(old[2]) > tonumber(intent) then
  intent = old[2]
end
redis.call('HSET', row, 'state', ARGV[1], 'intent', intent, 'cursor', ARGV[3], 'counts', ARGV[4],
  'latency', ARGV[5], 'unreached', ARGV[6], 'retries', ARGV[7])
redis.call('HINCRBY', row, 'saves', 1)
return 1
