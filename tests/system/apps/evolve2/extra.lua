local kalix = require "kalix"

return kalix.value_entity "extra" {
  commands = { set = function(_, input, ctx) ctx:update { v = input } end },
  queries = { get = function(state) return state and state.v end },
}
