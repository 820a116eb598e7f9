-- Counts devices of one publication and chunk of 65,536, each once a stage.
-- KEYS: tallies, latencies, chunks, then who reached each of the four stages.
-- ARGV: the chunk; then for each mark: device within the chunk, first and last stage, the cell
-- (`unit|channel`), and the bucket and milliseconds of its latency, or '' twice.
-- Answers how many reached a last stage that they had not.
-- Who reached a stage is a set of integers while they are few, and then a bitmap of 8 KiB: a
-- citizen's own publication costs bytes, the city's a bit for each device and stage.
local FEW = 512
local kinds, sizes, tallies, buckets = {}, {}, {}, {}
local least, most = {}, {}
local new = 0

local function look(stage, key)
  kinds[stage] = redis.call('TYPE', key).ok
  if kinds[stage] == 'none' then
    redis.call('SADD', KEYS[3], ARGV[1])
  end
  sizes[stage] = kinds[stage] == 'set' and redis.call('SCARD', key) or 0
end

local function insert(stage, device)
  local key = KEYS[4 + stage]
  if not kinds[stage] then
    look(stage, key)
  end
  if kinds[stage] == 'string' then
    return redis.call('SETBIT', key, device, 1) == 0
  end
  if redis.call('SADD', key, device) == 0 then
    return false
  end
  kinds[stage], sizes[stage] = 'set', sizes[stage] + 1
  if sizes[stage] > FEW then
    local members = redis.call('SMEMBERS', key)
    redis.call('DEL', key)
    for _, member in ipairs(members) do
      redis.call('SETBIT', key, member, 1)
    end
    kinds[stage] = 'string'
  end
  return true
end

local function time(stage, bucket, ms)
  local key = stage .. ':' .. bucket
  buckets[key] = (buckets[key] or 0) + 1
  least[stage] = math.min(least[stage] or ms, ms)
  most[stage] = math.max(most[stage] or ms, ms)
end

for at = 2, #ARGV, 6 do
  local device, first, last = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  for stage = first, last do
    if insert(stage, device) then
      if stage == last then
        new = new + 1
      end
      local cell = ARGV[at + 3] .. '|' .. stage
      tallies[cell] = (tallies[cell] or 0) + 1
      -- Deliveries and the first receipt are timed.
      if stage <= 1 and ARGV[at + 4] ~= '' then
        time(stage, ARGV[at + 4], tonumber(ARGV[at + 5]))
      end
    end
  end
end

for cell, count in pairs(tallies) do
  redis.call('HINCRBY', KEYS[1], cell, count)
end
for bucket, count in pairs(buckets) do
  redis.call('HINCRBY', KEYS[2], bucket, count)
end
for stage, ms in pairs(least) do
  local known = redis.call('HMGET', KEYS[2], stage .. ':first', stage .. ':last')
  if not known[1] or ms < tonumber(known[1]) then
    redis.call('HSET', KEYS[2], stage .. ':first', string.format('%d', ms))
  end
  if not known[2] or most[stage] > tonumber(known[2]) then
    redis.call('HSET', KEYS[2], stage .. ':last', string.format('%d', most[stage]))
  end
end
return new
