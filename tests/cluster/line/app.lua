return { name = "queues", require "line" }
