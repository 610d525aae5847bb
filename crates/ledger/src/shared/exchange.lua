-- The rule of `room.rs`, in Redis: one exchange of an instance about one resource.
--
-- KEYS: the resource's room, the live instances, the resources of this instance.
-- ARGV: instance, now, lease, returns, max, lent, busy, used, resets, report, need, waits_for, heard, resource,
--       start of the keys under which instances hear calls, books, booked ('' for none), moved, and in pairs who booked
--       what of it.
--
-- The room is a hash: `l:<instance>` is a lease, `o:<instance>` what that instance had booked when it was given the
-- lease that ends then (versions that do not tell leave it alone), `b:<instance>` what was read of its bookings.
local TICK, TICKS, TIGHT = 250, 241, 2000
local me, resource = ARGV[1], ARGV[14]
local a = {}
for i = 2, 13 do a[i] = tonumber(ARGV[i]) end
local now, lease, returns, max, lent = a[2], a[3], ARGV[4], a[5], a[6]
local busy, used, resets, report, need, waits_for, heard = a[7], a[8], ARGV[9], a[10], a[11], a[12], a[13]
local books, booked, moved = ARGV[16], tonumber(ARGV[17]), ARGV[18] == '1'
local function text(n) return string.format('%.0f', n) end

local room = { used = 0, latest = 0, call = 0, called_at = 0, moved = 0, is_read = 0 }
local leases, ticks, origins, booked_by = {}, {}, {}, {}
local stored = redis.call('HGETALL', KEYS[1])
for i = 1, #stored, 2 do
    local name, value = stored[i], stored[i + 1]
    local kind, rest = string.sub(name, 1, 2), string.sub(name, 3)
    if kind == 'l:' then
        local l, u, h = string.match(value, '^(%-?%d+) (%-?%d+) (%-?%d+)$')
        leases[rest] = { lent = tonumber(l), till = tonumber(u), heard = tonumber(h) }
    elseif kind == 't:' then
        ticks[tonumber(rest)] = tonumber(value)
    elseif kind == 'o:' then
        local o, u = string.match(value, '^(%-?%d+) (%-?%d+)$')
        origins[rest] = { booked = tonumber(o), till = tonumber(u) }
    elseif kind == 'b:' then
        booked_by[rest] = tonumber(value)
    else
        room[name] = tonumber(value)
    end
end
for name, l in pairs(leases) do
    local origin = origins[name]
    if origin and origin.till == l.till then l.booked = origin.booked end
end
local changed, gone = {}, {}
local function set(name, value) changed[#changed + 1] = name; changed[#changed + 1] = text(value) end
local function forget(name)
    gone[#gone + 1] = 'l:' .. name
    gone[#gone + 1] = 'o:' .. name
end

if now > room.latest then room.latest = now end
now = room.latest
set('latest', now)
local is_spend = returns == 'never'
if not is_spend or books == 'read' then
    for name, l in pairs(leases) do
        if l.till <= now then
            leases[name] = nil
            forget(name)
        end
    end
end
local function left_of(l, of_it)
    local since = of_it and l.booked and of_it - l.booked or 0
    return math.max(l.lent - since, 0)
end
local before = leases[me]
leases[me] = nil
lent = math.max(before and math.min(left_of(before, booked), lent) or 0, busy, 0)
heard = math.max(before and before.heard or room.call, math.min(heard, room.call))
if not booked and lent == 0 and before then booked = before.booked end
local mine = { lent = lent, till = now + lease, heard = heard, booked = booked }

if returns == 'never' then
    if books ~= 'read' then
        if room.is_read == 0 then room.used = math.max(room.used, used) end
    elseif resets == '1' or room.is_read == 0 or used >= room.used then
        room.used, room.is_read = used, 1
        set('is_read', 1)
        local read = {}
        for i = 19, #ARGV, 2 do
            local sum = tonumber(ARGV[i + 1])
            read[ARGV[i]] = sum
            if booked_by[ARGV[i]] ~= sum then set('b:' .. ARGV[i], sum) end
        end
        for name in pairs(booked_by) do
            if not read[name] then gone[#gone + 1] = 'b:' .. name end
        end
        booked_by = read
    end
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

if moved then room.moved = room.call end
local is_read = room.is_read == 1
local function outstanding(name, l)
    return left_of(l, is_read and (booked_by[name] or 0) or nil)
end
local others, is_waiting, has_others, has_gone = 0, false, false, false
for name, l in pairs(leases) do
    others = others + outstanding(name, l)
    if l.till <= now then
        has_gone = true
    elseif l.lent > 0 then
        has_others = true
        if l.heard < waits_for then is_waiting = true end
    end
end
local left = max - room.used - others - outstanding(me, mine)
local could_read = is_spend and books == 'closed'
local is_unsettled = is_spend and not is_waiting and room.moved >= waits_for

local outcome = 'lent'
if need > 0 then
    if could_read and not is_read then
        outcome = 'unread'
    elseif need <= left then
        local is_tight = room.call > 0 and now < room.called_at + TIGHT
        local instances = math.max(redis.call('ZCARD', KEYS[2]), 1)
        local part = is_tight and 0 or math.floor(left / (2 * instances))
        local more = math.max(need, part)
        mine.lent = mine.lent + more
        left = left - more
        room.moved = room.call
    elseif could_read and has_gone then
        outcome = 'unread'
    elseif not has_others then
        outcome = 'nothing'
    elseif waits_for == 0 or (waits_for == room.call and is_unsettled) then
        room.call = room.call + 1
        set('call', room.call)
        set('called_at', now)
        for name, l in pairs(leases) do
            if l.lent > 0 and l.till > now then
                redis.call('HSET', ARGV[15] .. name, resource, text(room.call))
                redis.call('PEXPIRE', ARGV[15] .. name, 120000)
            end
        end
        outcome = text(room.call)
    elseif is_waiting then
        set('called_at', now)
        outcome = text(waits_for)
    elseif is_unsettled then
        outcome = text(room.call)
    else
        outcome = 'nothing'
    end
end
if mine.lent > 0 or outstanding(me, mine) > 0 then
    leases[me] = mine
    changed[#changed + 1] = 'l:' .. me
    changed[#changed + 1] = text(mine.lent) .. ' ' .. text(mine.till) .. ' ' .. text(heard)
    if mine.booked then
        changed[#changed + 1] = 'o:' .. me
        changed[#changed + 1] = text(mine.booked) .. ' ' .. text(mine.till)
    elseif before then
        gone[#gone + 1] = 'o:' .. me
    end
    redis.call('SADD', KEYS[3], resource)
    redis.call('PEXPIRE', KEYS[3], 86400000)
elseif before then
    forget(me)
    redis.call('SREM', KEYS[3], resource)
end
local unread = 0
for name, l in pairs(leases) do
    if is_read and l.booked then unread = unread + math.max(l.booked - (booked_by[name] or 0), 0) end
end
set('moved', room.moved)
if #gone > 0 then redis.call('HDEL', KEYS[1], unpack(gone)) end
redis.call('HSET', KEYS[1], unpack(changed))
redis.call('PEXPIRE', KEYS[1], 86400000)
return { text(mine.lent), text(room.used + unread), text(left), outcome }
