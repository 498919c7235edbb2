-- Another app that wants a name which is taken.
local kalix = require "kalix"

return {
  name = "other",
  kalix.value_entity "person" { queries = { get = function(state) return state end } },
}
