-- The second version: states and events of the first one are brought up to date when they are read.
return { name = "evolve", require "person", require "diary", require "extra" }
