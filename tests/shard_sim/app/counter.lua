local kalix = require "kalix"
local marks = require "marks"
local version = require "version"

local integer = kalix.schema.integer

local function change(state, id, ctx)
  marks.add(state, id, ctx.now)
  ctx:update(state)
end

local function told(state, ctx)
  return marks.text(state, ctx.revision + 1, ctx.now, kalix.random(1 << 30))
end

local function get(state, _, ctx) return marks.text(state, ctx.revision) end
local function now(state, _, ctx) return marks.text(state, ctx.revision, ctx.now) end

return kalix.value_entity "counter" {
  state = marks.state,
  version = version.state,
  init = marks.init,
  migrate = marks.steps(version.state),
  history = 5,

  commands = {
    add = { function(state, id, ctx)
      change(state, id, ctx)
      return told(state, ctx)
    end, input = integer },

    slow = { function(state, id, ctx)
      change(state, id, ctx)
      marks.work(id)
      -- What is not handed over is forgotten.
      state.sum = -1
      return ctx:reply(function(left) return told(left, ctx) end)
    end, input = integer },

    big = { function(state, id, ctx)
      change(state, id, ctx)
      return string.rep("x", 100 * 1024)
    end, input = integer },

    delete = function(state, _, ctx)
      if not ctx.exists then ctx:fail("FAILED_PRECONDITION", marks.text(state, ctx.revision)) end
      ctx:update(state):delete()
      return marks.text(marks.init(), ctx.revision + 1)
    end,

    fail = function(state, _, ctx)
      local text = marks.text(state, ctx.revision)
      change(state, marks.never, ctx)
      pcall(ctx.fail, ctx, "FAILED_PRECONDITION", text)
    end,

    broken = function(state, _, ctx)
      change(state, marks.never, ctx)
      return state.nothing.here
    end,

    spend = { function(state, id, ctx)
      change(state, id, ctx)
      pcall(marks.spend, id)
    end, input = integer },

    noop = get,
    late = function(state, _, ctx)
      marks.work(7)
      return marks.text(state, ctx.revision)
    end,
    look = now,
  },

  queries = { get = get, now = now },
}
