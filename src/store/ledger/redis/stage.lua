-- The last stage that a device reached, 0 for none. KEYS: who reached received, shown,
-- acknowledged. ARGV: the device within the chunk.
for stage = #KEYS, 1, -1 do
  local kind = redis.call('TYPE', KEYS[stage]).ok
  if kind == 'set' and redis.call('SISMEMBER', KEYS[stage], ARGV[1]) == 1 then
    return stage
  end
  if kind == 'string' and redis.call('GETBIT', KEYS[stage], ARGV[1]) == 1 then
    return stage
  end
end
return 0
