-- The app of the moves: entities that are large.
return { name = "store", require "blob" }
