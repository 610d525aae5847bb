-- The rule of `room.rs`, in Redis: one exchange of an instance about one resource.
--
-- KEYS: the resource's room, the live instances, the resources of this instance.
-- ARGV: instance, now, lease, returns, max, lent, busy, used, resets, report, need, waits_for, heard, resource,
--       start of the keys under which instances hear calls.
local TICK, TICKS, TIGHT = 250, 241, 2000
local me, resource = ARGV[1], ARGV[14]
local a = {}
for i = 2, 13 do a[i] = tonumber(ARGV[i]) end
local now, lease, returns, max, lent = a[2], a[3], ARGV[4], a[5], a[6]
local busy, used, resets, report, need, waits_for, heard = a[7], a[8], ARGV[9], a[10], a[11], a[12], a[13]
local function text(n) return string.format('%.0f', n) end

local room = { used = 0, latest = 0, call = 0, called_at = 0 }
local leases, ticks = {}, {}
local stored = redis.call('HGETALL', KEYS[1])
for i = 1, #stored, 2 do
    local name, value = stored[i], stored[i + 1]
    local kind, rest = string.sub(name, 1, 2), string.sub(name, 3)
    if kind == 'l:' then
        local l, u, h = string.match(value, '^(%-?%d+) (%-?%d+) (%-?%d+)$')
        leases[rest] = { lent = tonumber(l), till = tonumber(u), heard = tonumber(h) }
    elseif kind == 't:' then
        ticks[tonumber(rest)] = tonumber(value)
    else
        room[name] = tonumber(value)
    end
end
local changed, gone = {}, {}
local function set(name, value) changed[#changed + 1] = name; changed[#changed + 1] = text(value) end

if now > room.latest then room.latest = now end
now = room.latest
set('latest', now)
for name, l in pairs(leases) do
    if l.till <= now then
        leases[name] = nil
        gone[#gone + 1] = 'l:' .. name
    end
end
local mine = leases[me]
leases[me] = nil
lent = math.max(mine and math.min(mine.lent, lent) or 0, busy, 0)
heard = math.max(mine and mine.heard or room.call, math.min(heard, room.call))

if returns == 'never' then
    if resets == '1' then room.used = used else room.used = math.max(room.used, used) end
elseif returns == 'at_once' then
    room.used = 0
else
    local tick = math.floor(now / TICK)
    for t in pairs(ticks) do
        if t <= tick - TICKS then
            ticks[t] = nil
            gone[#gone + 1] = 't:' .. text(t)
        end
    end
    if report > 0 then
        ticks[tick] = (ticks[tick] or 0) + report
        set('t:' .. text(tick), ticks[tick])
    end
    local less = math.max(-report, 0)
    if less > 0 then
        local order = {}
        for t in pairs(ticks) do order[#order + 1] = t end
        table.sort(order, function(x, y) return x > y end)
        for _, t in ipairs(order) do
            if less <= 0 then break end
            local taken = math.min(less, ticks[t])
            less = less - taken
            ticks[t] = ticks[t] - taken
            if ticks[t] == 0 then
                ticks[t] = nil
                gone[#gone + 1] = 't:' .. text(t)
            else
                set('t:' .. text(t), ticks[t])
            end
        end
    end
    room.used = 0
    for _, amount in pairs(ticks) do room.used = room.used + amount end
end
set('used', room.used)

local others, waiting, has_others = 0, false, false
for _, l in pairs(leases) do
    others = others + l.lent
    has_others = true
    if l.heard < waits_for then waiting = true end
end
local left = max - room.used - others - lent

local outcome = 'lent'
if need > 0 then
    if need <= left then
        local is_tight = room.call > 0 and now < room.called_at + TIGHT
        local instances = math.max(redis.call('ZCARD', KEYS[2]), 1)
        local part = is_tight and 0 or math.floor(left / (2 * instances))
        local more = math.max(need, part)
        lent = lent + more
        left = left - more
    elseif waits_for == 0 and has_others then
        room.call = room.call + 1
        set('call', room.call)
        set('called_at', now)
        for name in pairs(leases) do
            redis.call('HSET', ARGV[15] .. name, resource, text(room.call))
            redis.call('PEXPIRE', ARGV[15] .. name, 120000)
        end
        outcome = text(room.call)
    elseif waiting then
        set('called_at', now)
        outcome = text(waits_for)
    else
        outcome = 'nothing'
    end
end
if lent > 0 then
    changed[#changed + 1] = 'l:' .. me
    changed[#changed + 1] = text(lent) .. ' ' .. text(now + lease) .. ' ' .. text(heard)
    redis.call('SADD', KEYS[3], resource)
    redis.call('PEXPIRE', KEYS[3], 86400000)
elseif mine then
    gone[#gone + 1] = 'l:' .. me
    redis.call('SREM', KEYS[3], resource)
end
if #gone > 0 then redis.call('HDEL', KEYS[1], unpack(gone)) end
redis.call('HSET', KEYS[1], unpack(changed))
redis.call('PEXPIRE', KEYS[1], 86400000)
return { text(lent), text(room.used), text(left), outcome }
