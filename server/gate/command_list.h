/* Every command, sorted by name; subcommands as "container|word". From this table come dispatch,
 * arity, COMMAND and its help. Private to server/gate.
 *
 * X(ID, name, container, arity, flags, first key, last key, key step, function, group, syntax,
 *   summary)
 */
#ifndef KX_SERVER_GATE_COMMAND_LIST_H
#define KX_SERVER_GATE_COMMAND_LIST_H

/* clang-format off */
#define COMMAND_LIST(X)                                                                            \
	X(ACK, "ack", NULL, -4, FLAG_WRITE, 0, 0, 0, run_not_yet, "topics",                        \
	    "ACK topic group id...", "Says that leased messages are done with")                    \
	X(ADMIN, "admin", NULL, -2, FLAG_ADMIN | FLAG_LOADING, 0, 0, 0, run_admin,                 \
	    "server", "ADMIN noun verb ...", "What kalix-admin speaks")                            \
	X(ASKING, "asking", NULL, 1, FLAG_FAST | FLAG_LOADING, 0, 0, 0, run_asking,                \
	    "cluster", "ASKING", "Accepted; slots never move half")                                \
	X(AUTH, "auth", NULL, -2, FLAG_NO_AUTH | FLAG_FAST | FLAG_LOADING, 0, 0, 0,                \
	    run_auth, "connection", "AUTH [user] password", "Authenticates the connection")        \
	X(CALL, "call", NULL, -2, FLAG_WRITE, 1, 1, 1, run_call, "entities",                       \
	    "CALL address [command [payload] [IDEMPOTENCY token] [TIMEOUT ms] [STALE ms] "         \
	    "[META json]]",                                                                        \
	    "Calls a command or query; without one, lists what there is")                          \
	X(CLIENT, "client", NULL, -2, FLAG_LOADING, 0, 0, 0, command_run_container,                \
	    "connection", "CLIENT subcommand ...", "What concerns this connection, or others")     \
	X(CLIENT_ENCODING, "client|encoding", "client", 3, FLAG_FAST | FLAG_LOADING, 0, 0,         \
	    0, run_client_encoding, "connection", "CLIENT ENCODING json|msgpack|resp",             \
	    "How payloads and replies of calls are encoded")                                       \
	X(CLIENT_GETNAME, "client|getname", "client", 2, FLAG_FAST | FLAG_LOADING, 0, 0, 0,        \
	    run_client_getname, "connection", "CLIENT GETNAME", "The connection's name")           \
	X(CLIENT_HELP, "client|help", "client", 2, FLAG_LOADING, 0, 0, 0, run_help,                \
	    "connection", "CLIENT HELP", "Lists the subcommands")                                  \
	X(CLIENT_ID, "client|id", "client", 2, FLAG_FAST | FLAG_LOADING, 0, 0, 0,                  \
	    run_client_id, "connection", "CLIENT ID", "The connection's number")                   \
	X(CLIENT_INFO, "client|info", "client", 2, FLAG_LOADING, 0, 0, 0, run_client_info,         \
	    "connection", "CLIENT INFO", "What is known of this connection")                       \
	X(CLIENT_KILL, "client|kill", "client", -3, FLAG_ADMIN | FLAG_LOADING, 0, 0, 0,            \
	    run_client_kill, "connection",                                                         \
	    "CLIENT KILL host:port | [ID id] [ADDR host:port] [USER user] [SKIPME yes|no] "        \
	    "[MAXAGE seconds]",                                                                    \
	    "Ends connections")                                                                    \
	X(CLIENT_LIST, "client|list", "client", -2, FLAG_ADMIN | FLAG_LOADING, 0, 0, 0,            \
	    run_client_list, "connection", "CLIENT LIST [TYPE type] [ID id...]",                   \
	    "What is known of all connections")                                                    \
	X(CLIENT_MAINT, "client|maint_notifications", "client", -3,                                \
	    FLAG_FAST | FLAG_LOADING, 0, 0, 0, run_client_maint, "connection",                     \
	    "CLIENT MAINT_NOTIFICATIONS ON|OFF ...", "Accepted; there is nothing to notify of")    \
	X(CLIENT_NO_EVICT, "client|no-evict", "client", 3, FLAG_FAST | FLAG_LOADING, 0, 0,         \
	    0, run_client_no_evict, "connection", "CLIENT NO-EVICT ON|OFF", "Accepted")            \
	X(CLIENT_NO_TOUCH, "client|no-touch", "client", 3, FLAG_FAST | FLAG_LOADING, 0, 0,         \
	    0, run_client_no_touch, "connection", "CLIENT NO-TOUCH ON|OFF", "Accepted")            \
	X(CLIENT_PROXY, "client|proxy", "client", 3, FLAG_FAST | FLAG_LOADING, 0, 0, 0,            \
	    run_client_proxy, "connection", "CLIENT PROXY ON|OFF",                                 \
	    "Whether requests for other nodes are forwarded or answered with MOVED")               \
	X(CLIENT_SESSION, "client|session", "client", -2, 0, 0, 0, 0, run_not_yet, "connection",   \
	    "CLIENT SESSION", "A token for AFTER")                                                 \
	X(CLIENT_SETINFO, "client|setinfo", "client", 4, FLAG_FAST | FLAG_LOADING, 0, 0, 0,        \
	    run_client_setinfo, "connection", "CLIENT SETINFO LIB-NAME|LIB-VER text",              \
	    "Name and version of the client's library")                                            \
	X(CLIENT_SETNAME, "client|setname", "client", 3, FLAG_FAST | FLAG_LOADING, 0, 0, 0,        \
	    run_client_setname, "connection", "CLIENT SETNAME name", "Names the connection")       \
	X(CLIENT_WILL, "client|will", "client", -3, FLAG_WRITE, 0, 0, 0, run_not_yet,              \
	    "connection", "CLIENT WILL address command [payload] | OFF",                           \
	    "A command that is sent when this connection ends")                                    \
	X(CLUSTER, "cluster", NULL, -2, FLAG_LOADING, 0, 0, 0, command_run_container,              \
	    "cluster", "CLUSTER subcommand ...", "The map of the cluster")                         \
	X(CLUSTER_HELP, "cluster|help", "cluster", 2, FLAG_LOADING, 0, 0, 0, run_help,             \
	    "cluster", "CLUSTER HELP", "Lists the subcommands")                                    \
	X(CLUSTER_INFO, "cluster|info", "cluster", 2, FLAG_LOADING, 0, 0, 0, run_cluster_info,     \
	    "cluster", "CLUSTER INFO", "The cluster's state")                                      \
	X(CLUSTER_KEYSLOT, "cluster|keyslot", "cluster", 3, FLAG_LOADING, 0, 0, 0,                 \
	    run_cluster_keyslot, "cluster", "CLUSTER KEYSLOT address", "The slot of an address")   \
	X(CLUSTER_LINKS, "cluster|links", "cluster", 2, FLAG_LOADING, 0, 0, 0,                     \
	    run_cluster_links, "cluster", "CLUSTER LINKS", "Links to other nodes")                 \
	X(CLUSTER_MYID, "cluster|myid", "cluster", 2, FLAG_LOADING, 0, 0, 0, run_cluster_myid,     \
	    "cluster", "CLUSTER MYID", "This node's id")                                           \
	X(CLUSTER_NODES, "cluster|nodes", "cluster", 2, FLAG_LOADING, 0, 0, 0,                     \
	    run_cluster_nodes, "cluster", "CLUSTER NODES", "The nodes, as text")                   \
	X(CLUSTER_SHARDS, "cluster|shards", "cluster", 2, FLAG_LOADING, 0, 0, 0,                   \
	    run_cluster_shards, "cluster", "CLUSTER SHARDS", "Slots and their nodes, as maps")     \
	X(CLUSTER_SLOTS, "cluster|slots", "cluster", 2, FLAG_LOADING, 0, 0, 0,                     \
	    run_cluster_slots, "cluster", "CLUSTER SLOTS", "Slots and their nodes")                \
	X(COMMAND, "command", NULL, -1, FLAG_LOADING, 0, 0, 0, run_command, "server",              \
	    "COMMAND [subcommand ...]", "What commands there are")                                 \
	X(COMMAND_COUNT, "command|count", "command", 2, FLAG_LOADING, 0, 0, 0,                     \
	    run_command_count, "server", "COMMAND COUNT", "How many commands there are")           \
	X(COMMAND_DOCS, "command|docs", "command", -2, FLAG_LOADING, 0, 0, 0,                      \
	    run_command_docs, "server", "COMMAND DOCS [name...]", "What commands are for")         \
	X(COMMAND_GETKEYS, "command|getkeys", "command", -3, FLAG_LOADING, 0, 0, 0,                \
	    run_command_getkeys, "server", "COMMAND GETKEYS command ...",                          \
	    "The addresses in a command")                                                          \
	X(COMMAND_HELP, "command|help", "command", 2, FLAG_LOADING, 0, 0, 0, run_help,             \
	    "server", "COMMAND HELP", "Lists the subcommands")                                     \
	X(COMMAND_INFO, "command|info", "command", -2, FLAG_LOADING, 0, 0, 0,                      \
	    run_command_info, "server", "COMMAND INFO [name...]", "Arity, flags and keys")         \
	X(COMMAND_LIST_, "command|list", "command", -2, FLAG_LOADING, 0, 0, 0,                     \
	    run_command_list, "server", "COMMAND LIST [FILTERBY PATTERN pattern]",                 \
	    "The names of commands")                                                               \
	X(ECHO, "echo", NULL, 2, FLAG_FAST | FLAG_LOADING, 0, 0, 0, run_echo, "connection",        \
	    "ECHO text", "Gives the text back")                                                    \
	X(FCALL, "fcall", NULL, -3, FLAG_WRITE | FLAG_MOVABLE_KEYS, 0, 0, 0, run_fcall,            \
	    "entities", "FCALL command 1 address [payload] [option...]",                           \
	    "The same as CALL, routed by every client")                                            \
	X(FCALL_RO, "fcall_ro", NULL, -3, FLAG_READONLY | FLAG_MOVABLE_KEYS, 0, 0, 0,              \
	    run_fcall_ro, "entities", "FCALL_RO query 1 address [payload] [option...]",            \
	    "As FCALL, queries only")                                                              \
	X(HELLO, "hello", NULL, -1, FLAG_NO_AUTH | FLAG_FAST | FLAG_LOADING, 0, 0, 0,              \
	    run_hello, "connection", "HELLO [2|3] [AUTH user password] [SETNAME name]",            \
	    "Chooses the protocol's version, and says who is there")                               \
	X(INFO, "info", NULL, -1, FLAG_LOADING, 0, 0, 0, run_info, "server",                       \
	    "INFO [section...]", "Figures of the server")                                          \
	X(PING, "ping", NULL, -1, FLAG_FAST | FLAG_LOADING, 0, 0, 0, run_ping,                     \
	    "connection", "PING [text]", "Answers PONG, or the text")                              \
	X(PUBLISH, "publish", NULL, -3, FLAG_WRITE | FLAG_PUBSUB, 0, 0, 0, run_not_yet,            \
	    "topics", "PUBLISH topic payload [KEY key]", "Publishes a message")                    \
	X(QUERY, "query", NULL, -2, FLAG_READONLY, 0, 0, 0, run_not_yet, "views",                  \
	    "QUERY view.query [payload] [COUNT n] [CURSOR c] [AFTER token]",                       \
	    "A view's named query")                                                                \
	X(QUIT, "quit", NULL, -1, FLAG_NO_AUTH | FLAG_FAST | FLAG_LOADING, 0, 0, 0,                \
	    run_quit, "connection", "QUIT", "Ends the connection")                                 \
	X(READ, "read", NULL, -4, FLAG_WRITE | FLAG_BLOCKING, 0, 0, 0, run_not_yet,                \
	    "topics",                                                                              \
	    "READ topic GROUP group [COUNT n] [BLOCK ms] [VISIBILITY ms] [FROM beginning|now|ms]", \
	    "Leases messages")                                                                     \
	X(READONLY, "readonly", NULL, 1, FLAG_FAST | FLAG_LOADING, 0, 0, 0, run_readonly,          \
	    "cluster", "READONLY", "Followers may answer queries")                                 \
	X(READWRITE, "readwrite", NULL, 1, FLAG_FAST | FLAG_LOADING, 0, 0, 0,                      \
	    run_readwrite, "cluster", "READWRITE", "Takes READONLY back")                          \
	X(RESET, "reset", NULL, 1, FLAG_NO_AUTH | FLAG_FAST | FLAG_LOADING, 0, 0, 0,               \
	    run_reset, "connection", "RESET", "The connection as it was at its begin")             \
	X(SELECT, "select", NULL, 2, FLAG_FAST | FLAG_LOADING, 0, 0, 0, run_select,                \
	    "connection", "SELECT 0", "There is one database, 0")                                  \
	X(SLOWLOG, "slowlog", NULL, -2, FLAG_ADMIN | FLAG_LOADING, 0, 0, 0,                        \
	    command_run_container, "server", "SLOWLOG subcommand ...", "Calls that took long")     \
	X(SLOWLOG_GET, "slowlog|get", "slowlog", -2, FLAG_ADMIN | FLAG_LOADING, 0, 0, 0,           \
	    run_slowlog, "server", "SLOWLOG GET [count]", "The last ones, newest first")           \
	X(SLOWLOG_HELP, "slowlog|help", "slowlog", 2, FLAG_LOADING, 0, 0, 0, run_help,             \
	    "server", "SLOWLOG HELP", "Lists the subcommands")                                     \
	X(SLOWLOG_LEN, "slowlog|len", "slowlog", 2, FLAG_ADMIN | FLAG_LOADING, 0, 0, 0,            \
	    run_slowlog, "server", "SLOWLOG LEN", "How many are kept")                             \
	X(SLOWLOG_RESET, "slowlog|reset", "slowlog", 2, FLAG_ADMIN | FLAG_LOADING, 0, 0, 0,        \
	    run_slowlog, "server", "SLOWLOG RESET", "Forgets them")                                \
	X(SUBSCRIBE, "subscribe", NULL, -2, FLAG_PUBSUB, 0, 0, 0, run_not_yet, "topics",           \
	    "SUBSCRIBE channel...", "Follows topics, entities and views")                          \
	X(TIME, "time", NULL, 1, FLAG_FAST | FLAG_LOADING, 0, 0, 0, run_time, "server",            \
	    "TIME", "The server's clock: seconds and microseconds")
/* clang-format on */

#endif
