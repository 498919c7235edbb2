local kalix = require "kalix"
local schema = kalix.schema

local function first(id)
  local items = {}
  for i = 0, 11 do items[string.format("sku-%08d", i)] = i end
  return { id = id, user = "user-00001234", ver = 17, items = items }
end

return kalix.value_entity "cart" {
  state = schema.record {
    id = schema.string,
    user = schema.string,
    ver = schema.integer,
    items = schema.map(schema.string, schema.integer),
  },
  init = first,

  commands = {
    add_item = {
      function(state, input, ctx)
        local n = (state.items[input.sku] or 0) + input.qty
        state.items[input.sku] = n
        state.ver = state.ver + 1
        ctx:update(state)
        return { n = n, ok = true }
      end,
      input = schema.record { sku = schema.string, qty = schema.integer },
    },
  },
  queries = { get = function(state) return state end },
}
