#include "client/admin/refused.h"

static const struct {
	const char *reason, *text;
} texts[] = {
    {"secret", "its cluster secret is another one (cluster_secret_file)"},
    {"version",
        "it speaks no version of the protocol that is spoken here (peer_refused in the logs has "
        "which, and what to do)"},
    {"cluster", "it is of another cluster"},
    {"node", "who answers at its address is another node"},
    {"incarnation", "its data directory is not the one that it had"},
    {"stranger", "it does not know the node that connects"},
    {"remote", "without a cluster secret nodes of other machines do not connect"},
    {"foreign",
        "what answers at its address is not the peer port of a Kalix node (not_a_peer_port in the "
        "logs)"},
    {"silent", "what listens at its address says nothing: it hangs, or is another program"},
    {"self", "its address is that of the node that connects"},
};

const char *refused_text(struct slice reason)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (slice_equal(reason, slice_from_text(texts[i].reason)))
			return texts[i].text;
	return "links with it are refused (peer_refused in the logs)";
}
