-- What a citizen is called: the present pseudonym, then the former ones.
-- KEYS: who took whose place. ARGV: the stem of every key, and the pseudonym.
local present = redis.call('HGET', KEYS[1], ARGV[2]) or ARGV[2]
local names = redis.call('SMEMBERS', ARGV[1] .. 'former:' .. present)
table.insert(names, 1, present)
return names
