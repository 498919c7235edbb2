local function gen(n)
	return coroutine.wrap(function() for i = 1, n do coroutine.yield(i) end end)
end
local sum = 0
for i in gen(10) do
	for j in gen(i) do sum = sum + select(2, pcall(function() return j end)) end
end
local co = coroutine.create(function(...) error({...}) end)
local ok, e = coroutine.resume(co, 1)
return tostring(sum) .. tostring(ok) .. coroutine.status(co) .. #e
