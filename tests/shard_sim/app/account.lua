local kalix = require "kalix"
local marks = require "marks"
local schema = kalix.schema
local version = require "version"

local function emit(id, ctx) ctx:emit("did", marks.event(id, ctx.now)) end

local function told(state, ctx, events)
  return marks.text(state, ctx.revision + (events or 1), ctx.now, kalix.random(1 << 30))
end

local function get(state, _, ctx) return marks.text(state, ctx.revision) end
local function now(state, _, ctx) return marks.text(state, ctx.revision, ctx.now) end

return kalix.event_sourced_entity "account" {
  state = marks.state,
  version = version.state,
  init = marks.init,
  -- Where a step is missing, a snapshot is thrown away, and all events are folded again.
  migrate = marks.steps(version.state, 3),
  snapshot_every = 10,

  commands = {
    add = { function(state, id, ctx)
      emit(id, ctx)
      return told(state, ctx)
    end, input = schema.integer },

    many = { function(state, id, ctx)
      for i = 0, 2 do emit(id + i, ctx) end
      return told(state, ctx, 3)
    end, input = schema.integer },

    slow = { function(_, id, ctx)
      emit(id, ctx)
      marks.work(id)
      return ctx:reply(function(left) return told(left, ctx) end)
    end, input = schema.integer },

    big = { function(_, id, ctx)
      emit(id, ctx)
      return string.rep("x", 100 * 1024)
    end, input = schema.integer },

    delete = function(state, _, ctx)
      if not ctx.exists then ctx:fail("FAILED_PRECONDITION", marks.text(state, ctx.revision)) end
      ctx:delete()
      return marks.text(marks.init(), ctx.revision + 1)
    end,

    fail = function(state, _, ctx)
      local text = marks.text(state, ctx.revision)
      emit(marks.never, ctx)
      pcall(ctx.fail, ctx, "FAILED_PRECONDITION", text)
    end,

    broken = function(state, _, ctx)
      emit(marks.never, ctx)
      return state.nothing.here
    end,

    spend = { function(_, id, ctx)
      emit(id, ctx)
      pcall(marks.spend, id)
    end, input = schema.integer },

    noop = get,
    late = function(state, _, ctx)
      marks.work(7)
      return marks.text(state, ctx.revision)
    end,
    look = now,
  },

  queries = { get = get, now = now },

  events = {
    did = {
      function(state, event, meta)
        marks.check(event, version.event)
        if meta.at ~= event.now then error "the event was stored with another time" end
        marks.add(state, event.id, meta.at)
      end,
      schema = marks.schema_of({
        id = schema.integer,
        now = schema.timestamp,
        path = schema.list(schema.integer),
      }, version.event),
      version = version.event,
      upcast = marks.steps(version.event),
    },
  },
}
