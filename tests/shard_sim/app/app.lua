-- The app that the simulated node serves; version.lua is written for each version of it, and says
-- which types it has.
local version = require "version"

local app = {
  name = "shop",
  limits = { instructions = 150000, run_ms = 20, memory_bytes = 1048576, state_bytes = 8192 },
}
if version.account then app[#app + 1] = require "account" end
if version.counter then app[#app + 1] = require "counter" end
return app
