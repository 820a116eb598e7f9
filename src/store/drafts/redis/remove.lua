-- Throws away drafts that are still at their versions. KEYS: the number of changes, and the mark
-- of this call, by which one whose answer was lost is answered alike. ARGV: the stem of every key,
-- how long a mark stays in ms, id, version.
-- Answers {'done', number}, {'unknown'} or {'stale', version}.
local stem, id = ARGV[1], ARGV[3]
local row = stem .. 'd:' .. id
local was = redis.call('HMGET', row, 'version', 'agency', 'state', 'publication')
if not was[1] then
  local number = redis.call('GET', KEYS[2])
  return number and { 'done', number } or { 'unknown' }
elseif was[1] ~= ARGV[4] then
  return { 'stale', was[1] }
end
local number = redis.call('INCR', KEYS[1])
redis.call('SET', KEYS[2], number, 'PX', ARGV[2])
redis.call('ZREM', stem .. 'all', id)
redis.call('ZREM', stem .. 'agency:' .. was[2], id)
redis.call('ZREM', stem .. 'state:' .. was[3], id)
redis.call('ZREM', stem .. 'both:' .. was[3] .. ':' .. was[2], id)
redis.call('SREM', stem .. 'open:' .. was[2], id)
redis.call('ZREM', stem .. 'due', id)
redis.call('ZREM', stem .. 'closed', id)
redis.call('UNLINK', row)
redis.call('PUBLISH', KEYS[1], number)
return { 'done', number }
