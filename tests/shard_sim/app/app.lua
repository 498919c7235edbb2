-- The app that the simulated node serves; version.lua is written for each version of it.
return {
  name = "shop",
  require "account",
  require "counter",
  limits = { instructions = 150000, run_ms = 20, memory_bytes = 1048576, state_bytes = 8192 },
}
