-- A cart remembers what happened to it: its state is what its events make of it.
--   redis-cli -p 7470 CALL cart/c1 add_item '{"product_id":"p1","name":"Pen","quantity":2}'
local kalix = require "kalix"
local schema = kalix.schema

return kalix.event_sourced_entity "cart" {
  state = schema.record {
    items = schema.map(schema.string, schema.record {
      name = schema.string,
      quantity = schema.integer,
    }),
    checked_out = schema.optional(schema.boolean, false),
  },
  init = { items = {} },

  commands = {
    add_item = {
      function(state, input, ctx)
        if state.checked_out then ctx:fail("FAILED_PRECONDITION", "cart is already checked out") end
        ctx:emit("item_added", input)
        return state.items
      end,
      input = schema.record {
        product_id = schema.string { min = 1, max = 64 },
        name = schema.string { max = 200 },
        quantity = schema.integer { min = 1, max = 1000 },
      },
      description = "puts so many of a product into the cart, and answers the items",
    },

    remove_item = {
      function(state, input, ctx)
        if state.checked_out then ctx:fail("FAILED_PRECONDITION", "cart is already checked out") end
        if not state.items[input.product_id] then
          ctx:fail("NOT_FOUND", "no such product in the cart")
        end
        ctx:emit("item_removed", input)
        return state.items
      end,
      input = schema.record { product_id = schema.string },
      description = "takes a product out of the cart, and answers the items",
    },

    checkout = {
      function(state, _, ctx)
        if state.checked_out then ctx:fail("FAILED_PRECONDITION", "cart is already checked out") end
        if next(state.items) == nil then ctx:fail("FAILED_PRECONDITION", "cart is empty") end
        ctx:emit("checked_out", {})
        return state
      end,
      description = "closes the cart, and answers it",
    },
  },

  queries = {
    get = {
      function(state) return state end,
      description = "items, and whether it is checked out",
    },
  },

  events = {
    item_added = {
      function(state, event)
        local item = state.items[event.product_id] or { name = event.name, quantity = 0 }
        item.quantity = item.quantity + event.quantity
        state.items[event.product_id] = item
      end,
      schema = schema.record {
        product_id = schema.string,
        name = schema.string,
        quantity = schema.integer,
      },
    },
    item_removed = {
      function(state, event) state.items[event.product_id] = nil end,
      schema = schema.record { product_id = schema.string },
    },
    checked_out = {
      function(state) state.checked_out = true end,
      schema = schema.record {},
    },
  },
}
