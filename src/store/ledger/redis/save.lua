-- Saves what a worker says, unless the dispatch is fenced against it.
-- KEYS: its row. ARGV: state, intent, cursor, counts, latency, unreached, retries, the worker's
-- term, and the number of saves after which a frozen row was found to allow this one, or ''.
-- Answers 0 unknown, 1 saved, 2 another worker has it, 3 frozen: the caller looks.
-- (Seqs rise by one from 0, and terms are milliseconds: Lua's numbers are exact far beyond them.)
local row = KEYS[1]
local old = redis.call('HMGET', row, 'cursor', 'intent', 'frozen', 'saves', 'term')
if not old[1] then
  return 0
end
if tonumber(ARGV[8]) < tonumber(old[5] or '0') or tonumber(ARGV[3]) < tonumber(old[1]) then
  return 2
end
if old[3] ~= '0' and ARGV[9] ~= old[4] then
  return 3
end
local intent = ARGV[2]
if tonumber(old[2]) > tonumber(intent) then
  intent = old[2]
end
-- A server that lost its last second may not know of the worker's term.
redis.call('HSET', row, 'state', ARGV[1], 'intent', intent, 'cursor', ARGV[3], 'counts', ARGV[4],
  'latency', ARGV[5], 'unreached', ARGV[6], 'retries', ARGV[7], 'term', ARGV[8])
redis.call('HINCRBY', row, 'saves', 1)
return 1
