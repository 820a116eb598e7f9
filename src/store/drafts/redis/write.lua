-- Stores a new draft, or replaces one that is still at a version. KEYS: the number of changes.
-- ARGV: the stem of every key, id, the version it is made from ('' if it is new), its own version,
-- agency, state, whether it is open, whether it is due, publication ('' for none), when it was
-- changed in ms if it is closed ('' if not), body, whether it has XML, XML, the most open ones.
-- Answers {'done', number}, {'unknown'}, {'stale', version}, {'taken'} or {'many'}.
local stem, id, from, version = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local agency, state, publication, body = ARGV[5], ARGV[6], ARGV[9], ARGV[11]
local row = stem .. 'd:' .. id
local was = redis.call('HMGET', row, 'version', 'body', 'agency', 'state', 'number', 'publication')
if was[1] == version and was[2] == body then
  -- The same call again, whose answer was lost.
  return { 'done', was[5] }
elseif from == '' then
  if was[1] then
    return { 'taken' }
  elseif redis.call('SCARD', stem .. 'open:' .. agency) >= tonumber(ARGV[14]) then
    return { 'many' }
  end
elseif not was[1] then
  return { 'unknown' }
elseif was[1] ~= from then
  return { 'stale', was[1] }
end

local number = redis.call('INCR', KEYS[1])
redis.call('HSET', row, 'version', version, 'body', body, 'agency', agency, 'state', state,
  'number', number, 'publication', publication)
if ARGV[12] == '1' then
  redis.call('HSET', row, 'raw', ARGV[13])
end
if was[1] then
  redis.call('ZREM', stem .. 'agency:' .. was[3], id)
  redis.call('ZREM', stem .. 'state:' .. was[4], id)
  redis.call('ZREM', stem .. 'both:' .. was[4] .. ':' .. was[3], id)
  redis.call('SREM', stem .. 'open:' .. was[3], id)
end
redis.call('ZADD', stem .. 'all', number, id)
redis.call('ZADD', stem .. 'agency:' .. agency, number, id)
redis.call('ZADD', stem .. 'state:' .. state, number, id)
redis.call('ZADD', stem .. 'both:' .. state .. ':' .. agency, number, id)
if ARGV[7] == '1' then
  redis.call('SADD', stem .. 'open:' .. agency, id)
end
if ARGV[8] == '1' then
  redis.call('ZADD', stem .. 'due', number, id)
else
  redis.call('ZREM', stem .. 'due', id)
end
if publication ~= '' then
  redis.call('SET', stem .. 'of:' .. publication, id)
end
if ARGV[10] ~= '' then
  redis.call('ZADD', stem .. 'closed', ARGV[10], id)
else
  redis.call('ZREM', stem .. 'closed', id)
end
redis.call('PUBLISH', KEYS[1], number)
return { 'done', number }
