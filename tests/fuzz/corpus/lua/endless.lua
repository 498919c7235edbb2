local function f(...) return pcall(f, ...) end
while true do pcall(f, ('x'):rep(1000)) coroutine.wrap(f)() end
