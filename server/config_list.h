/* Every key of kalix.conf, which is a flag too: "peer_port = 1" is "--peer-port 1".
 *
 * X(name, kind, default text, what the value is called, what it is for)
 */
#ifndef KX_SERVER_CONFIG_LIST_H
#define KX_SERVER_CONFIG_LIST_H

/* clang-format off */
#define CONFIG_LIST(X)                                                                             \
	X(data, TEXT, "", "DIR", "the data directory, made where empty or absent")                 \
	X(bind, TEXT, "127.0.0.1", "ADDRESS", "address to listen on")                              \
	X(insecure, BOOLEAN, "false", "BOOLEAN",                                                   \
	    "listen wider than loopback without authentication")                                   \
	X(advertise, TEXT, "", "HOST", "what others reach this node at; empty: bind")              \
	X(port, PORT, "7470", "PORT", "clients")                                                   \
	X(peer_port, PORT, "7471", "PORT", "nodes among themselves")                               \
	X(cluster_port, PORT, "7472", "PORT", "cluster-mode clients")                              \
	X(http_port, PORT, "7480", "PORT", "HTTP (not in this version)")                           \
	X(password_file, TEXT, "", "FILE", "first line: the password of user default")             \
	X(cores, NUMBER, "0", "N", "threads that serve; 0: one for each CPU")                      \
	X(mode, TEXT, "", "MODE", "dev or production; empty: as bind and authentication suggest")  \
	X(log_level, TEXT, "info", "LEVEL", "debug, info, warning or error")                       \
	X(slowlog_threshold, DURATION, "100ms", "TIME",                                            \
	    "calls that take longer are kept in the slow log; 0: none")                            \
	X(ready_file, TEXT, "", "FILE", "written with ports and process number when ready")        \
	X(max_connections, NUMBER, "10000", "N", "clients at a time")                              \
	X(max_pipeline, NUMBER, "1024", "N", "calls of one client under way at a time")            \
	X(idle_timeout, DURATION, "1h", "TIME", "silent clients are closed; 0: never")             \
	X(stall_timeout, DURATION, "60s", "TIME",                                                  \
	    "clients are closed that leave a request unfinished or replies unread")                \
	X(output_limit, SIZE, "64MiB", "SIZE", "replies that wait for one client")                 \
	X(client_memory, SIZE, "256MiB", "SIZE", "what all clients of a core make it hold")        \
	X(cache, SIZE, "64MiB", "SIZE", "unchanged state in memory, all stores together")          \
	X(block_cache, SIZE, "64MiB", "SIZE", "blocks of the checkpoint, all stores together")     \
	X(fold_cache, SIZE, "64MiB", "SIZE", "folded states of event-sourced entities, in all")    \
	X(replay_limit, SIZE, "128MiB", "SIZE", "log between two checkpoints, a core's stores")    \
	X(stores, NUMBER, "0", "N", "stores of a new directory; 0: one a core, 2 at least")        \
	X(join, TEXT, "", "HOSTS", "a cluster to join: HOST:PORT,... of its nodes' peer ports")    \
	X(cluster_secret_file, TEXT, "", "FILE", "first line: what proves that a node belongs")    \
	X(cluster_secret_previous_file, TEXT, "", "FILE", "the one before, while it is changed")   \
	X(zone, TEXT, "", "NAME", "what fails together with this node: replicas keep apart")       \
	X(snapshot_rate, SIZE, "64MiB", "SIZE", "sent a second of replicas that move; 0: any")     \
	X(replace_after, DURATION, "5m", "TIME", "nodes gone for so long are replaced; 0: never")  \
	X(shards, NUMBER, "128", "N", "counts when a cluster is made")                             \
	X(reads, TEXT, "quorum", "HOW", "quorum or lease, on all nodes the same")

/* Those that may change while the server runs. */
#define CONFIG_CHANGEABLE(X)                                                                       \
	X(log_level)                                                                               \
	X(slowlog_threshold)                                                                       \
	X(max_connections)                                                                         \
	X(max_pipeline)                                                                            \
	X(idle_timeout)                                                                            \
	X(stall_timeout)                                                                           \
	X(output_limit)                                                                            \
	X(client_memory)                                                                           \
	X(snapshot_rate)
/* clang-format on */

#endif
