-- Freezes a dispatch, or puts a fence where it would be begun.
-- KEYS: its row. ARGV: the instant for the fence in ms, or '' for none.
-- Answers 1 frozen, 0 not begun.
local row = KEYS[1]
if redis.call('HEXISTS', row, 'dispatch') == 1 then
  redis.call('HSET', row, 'frozen', 1)
  return 1
end
if ARGV[1] ~= '' then
  redis.call('HSETNX', row, 'fence', ARGV[1])
end
return 0
