-- What both kinds of entity keep: the ids of the changes that made them, and witnesses of how they
-- were read. A difference is an error, which the simulator never allows.
local kalix = require "kalix"
local schema = kalix.schema
local version = require "version"

local marks = { ids_max = 64 }

-- Each version of a state or an event has one field more than the one before.
local function field(n) return string.format("v%02d", n) end

local function with_fields(fields, upto, value)
  for n = 2, upto do fields[field(n)] = value or n end
  return fields
end

function marks.schema_of(fields, upto)
  return schema.record(with_fields(fields, upto, schema.integer))
end

marks.state = marks.schema_of({
  ids = schema.list(schema.integer),
  made = schema.integer,
  sum = schema.integer,
  at = schema.timestamp,
  path = schema.list(schema.integer),
}, version.state)

function marks.init()
  local state = { ids = {}, made = 0, sum = 0, at = 0, path = { version.state } }
  return with_fields(state, version.state)
end

function marks.event(id, now)
  return with_fields({ id = id, now = now, path = { version.event } }, version.event)
end

-- Every step was taken once, in order; and pairs goes by the names.
function marks.check(what, upto)
  local path = what.path
  for i = 2, #path do
    if path[i] ~= path[i - 1] + 1 then error "a step is missing, or was taken twice" end
  end
  if path[#path] ~= upto then error "not of this version" end
  local names, before = 0, ""
  for name, value in pairs(what) do
    if name <= before then error "pairs has another order" end
    if name:find "^v%d" then
      if value ~= tonumber(name:sub(2)) then error "a field of another version" end
      names = names + 1
    end
    before = name
  end
  if names ~= upto - 1 then error "a version has no field" end
end

-- migrate, or upcast: from each version to the next, but those that are left out.
function marks.steps(upto, left_out)
  local steps = {}
  for n = 1, upto - 1 do
    if not (left_out and n % left_out == 0) then
      steps[n] = function(what)
        if what.path[#what.path] ~= n then error "a step from another version" end
        what.path[#what.path + 1] = n + 1
        what[field(n + 1)] = n + 1
      end
    end
  end
  return next(steps) and steps
end

function marks.add(state, id, now)
  local ids = state.ids
  if #ids == marks.ids_max then table.remove(ids, 1) end
  ids[#ids + 1] = id
  state.made = state.made + 1
  state.sum = (state.sum * 31 + id) % 1000000007
  state.at = now
end

-- The reply of everything: tests/shard_sim/view.h.
function marks.text(state, revision, now, luck)
  marks.check(state, version.state)
  return string.format("%d:%s|%d,%d,%d,%s,%d,%d,%d", revision, table.concat(state.ids, ","),
    state.made, state.sum, state.at, table.concat(state.path, ">"), version.app, now or 0,
    luck or 0)
end

-- Longer than a slice, more often than not.
function marks.work(id)
  local x = 0
  for i = 1, 1000 + id % 8 * 1000 do x = (x * 31 + i) % 65537 end
  return x
end

-- Over a budget: instructions (or time), memory, stack.
function marks.spend(id)
  if id % 3 == 0 then
    while true do end
  elseif id % 3 == 1 then
    local kept = {}
    while true do kept[#kept + 1] = string.rep("x", 10000) .. #kept end
  else
    local function deeper(n) return 1 + deeper(n + 1) end
    return deeper(0)
  end
end

marks.never = 999999999

return marks
