-- The app of the storm: a cell says in each answer what it was before, so that a change that is
-- lost, doubled or out of order is seen.
return { name = "storm", require "cell" }
