-- The app of the kill -9 test: every change says how many there were, so that one lost, doubled or
-- out of order is seen in the next reply.
return { name = "ledger", require "counter", require "journal" }
