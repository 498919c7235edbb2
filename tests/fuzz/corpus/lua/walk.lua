local t = {3, 1, 2, x = 1, [2.5] = 'f', [true] = {}}
local s = ''
for k, v in pairs(t) do s = s .. tostring(k) if k == 'x' then t.x = nil end end
for k in next, t do s = s .. type(k) end
table.sort(t, function(a, b) return a > b end)
return s .. table.concat(t, ',')
