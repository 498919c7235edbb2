local mt = {} mt.__index = mt
mt.__add = function(a, b) return a.v + b.v end mt.__lt = function(a, b) return a.v < b.v end
mt.__tostring = function(a) return 'v' .. a.v end mt.__call = function(a, x) return x end
mt.__newindex = function(t, k, v) rawset(t, k, v) end mt.__len = function() return 3 end
mt.__pairs = function(t) return next, {a = 1}, nil end
local a, b = setmetatable({v = 1}, mt), setmetatable({v = 2}, mt)
a.x = 1 local s = tostring(a) .. a + b .. tostring(a < b) .. a(5) .. #a
for k in pairs(a) do s = s .. k end
return s .. select(2, xpcall(function() return a.v.x.y end, function(m) return m .. '!' end))
