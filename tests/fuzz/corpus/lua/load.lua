local f = load('local a <const> = 1; goto l; ::l:: return a + ...', 'chunk', 't', {})
local n = 0
local g = load(function() n = n + 1 return ({'return ', '1', nil})[n] end)
while n < 10 do n = n + 1 repeat local x = n until x > 0 end
return f(1) .. g() .. tostring(load('x x')) .. tostring(pcall(error, nil))
