-- The first version of an app that changes: tests/system/model.sh goes forth and back with it.
return { name = "evolve", require "person", require "diary", require "extra" }
