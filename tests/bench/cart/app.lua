-- The benchmark's app: the same work as redis.lua beside it.
return { name = "bench", require "cart", require "kv" }
