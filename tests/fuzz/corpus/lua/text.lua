local s = ('key = value; other=1'):gsub('(%w+)%s*=%s*(%w+)', function(k, v)
	return v .. '=' .. k
end)
for w in s:gmatch('%f[%w]%w+') do s = s .. w:upper():reverse():sub(2, -2) end
s = s .. string.format('%5.2f %-5d %q %s', 1.5, 7, 'a\n', {}) .. ('x'):rep(20, ',')
return s .. utf8.char(228) .. #string.pack('<i4s2', 1, s) .. tostring(s:find('%b()'))
