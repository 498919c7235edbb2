-- What tests/system asks of the programming model, one component for each matter.
return { name = "all", require "box", require "story", require "wild" }
