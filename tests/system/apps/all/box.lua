local kalix = require "kalix"
local schema = kalix.schema

-- A value entity with every rule at its door.
return kalix.value_entity "box" {
  state = schema.record {
    id = schema.string,
    n = schema.integer,
    note = schema.optional(schema.string { max = 20 }),
    items = schema.map(schema.string, schema.record { quantity = schema.integer { min = 1 } }),
  },
  init = function(id) return { id = id, n = 0, items = {} } end,

  commands = {
    add = {
      function(state, input, ctx)
        state.n = state.n + input.n
        ctx:update(state)
        return state.n
      end,
      input = schema.record { n = schema.integer },
      description = "adds n",
    },
    create = {
      function(state, _, ctx)
        ctx:update(state)
        return ctx.revision
      end,
      exists = false,
    },
    close = { function(_, _, ctx) ctx:delete() end, exists = true },
    put = {
      function(state, input, ctx)
        state.items = input.items
        ctx:update(state)
        return state.items
      end,
      input = schema.record {
        items = schema.map(schema.string, schema.record { quantity = schema.integer { min = 1 } }),
      },
    },
    spoil = function(state, _, ctx)
      state.note = ("x"):rep(21)
      ctx:update(state)
    end,
    refuse = function(_, input, ctx)
      local ok = pcall(function() ctx:fail(input.code, "as you wish", { why = input.code }) end)
      error("fail came back " .. tostring(ok))
    end,
    late_failure = function(state, _, ctx)
      state.n = 1000000
      ctx:update(state)
      ctx:fail("ABORTED", "after the update")
    end,
    answer = function(state, _, ctx)
      state.n = state.n + 1
      ctx:update(state)
      ctx:reply(function(after) return { n = after.n, id = after.id } end)
    end,
    answer_gone = { function(_, _, ctx)
      ctx:delete()
      ctx:reply(function(after) return after end)
    end, exists = true },
    echo = function(_, input) return input end,
    wrong_output = { function() return "text" end, output = schema.integer },
    ["break"] = function(state) return state.missing.field end,
    big = function(state, input, ctx)
      ctx:update(state)
      return ("x"):rep(input.bytes)
    end,
    secret = { function() return "inside" end, internal = true },
    wait = function(state, input, ctx)
      local x = 0
      for i = 1, input.rounds do x = x + i % 7 end
      state.n = state.n + 1
      ctx:update(state)
      return state.n
    end,
  },
  queries = {
    get = function(state) return state end,
    about = function(_, _, ctx)
      return { id = ctx.id, type = ctx.type, address = ctx.address, command = ctx.command,
        exists = ctx.exists, revision = ctx.revision, caller = ctx.caller.kind }
    end,
    now = function(_, _, ctx) return ctx.now end,
    meta = function(_, _, ctx) return ctx.metadata end,
  },
}
