-- Says that an instance lives, and takes the calls for it.
-- KEYS: the live instances, the calls for this one. ARGV: instance, now, until when it lives.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[2])
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
local calls = redis.call('HGETALL', KEYS[2])
redis.call('DEL', KEYS[2])
return { tostring(redis.call('ZCARD', KEYS[1])), calls }
