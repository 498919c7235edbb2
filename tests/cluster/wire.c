/* A network in user space: one namespace for each node of a cluster and one for its clients, each
 * with a device of its own, and between them nothing but this process, which passes packets on,
 * late, or not at all. It needs no module of the kernel beyond tun, and what it makes is gone when
 * it and those who run there are.
 *
 *   wire NODES SEED   makes namespaces 0 (clients) to NODES with the addresses 10.77.0.1 (clients)
 *                     and 10.77.0.(10 + N), says "ready", and takes commands from its standard
 *                     input, each answered by a line. At its end everything is cut.
 *
 *   cut FROM TO            nothing that FROM sends reaches TO; the other direction is another one
 *   loss FROM TO PERCENT   so many of 100 packets are lost
 *   delay FROM TO MS MS    each packet takes so long, and up to the second time longer: the order
 *                          may change
 *   heal                   all as in the beginning; what is under way arrives
 *   count                  "passed=N lost=N delayed=N" since the beginning
 *
 * FROM and TO are numbers of namespaces, or * for all of them. Namespace N is
 * /proc/PID/fd/(100 + N) of this process, for nsenter --net=. Ends with status 3, and says why,
 * where the machine does not permit all this.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"

#define PLACES_MAX     17
#define PACKET_MAX     1500
#define WAITING_MAX    8192 /* packets under way; what comes beyond is lost, as in a full router */
#define NAMESPACE_BASE 100
#define NOT_PERMITTED  3

struct path {
	bool cut;
	unsigned loss_percent, delay_ms, jitter_ms;
};

struct packet {
	uint64_t due_ns, number; /* what is due at one time goes in the order in which it came */
	unsigned to;
	size_t bytes;
	unsigned char content[PACKET_MAX];
};

static int devices[PLACES_MAX];
static unsigned places;
static struct path paths[PLACES_MAX][PLACES_MAX];
static struct packet *waiting[WAITING_MAX]; /* a heap: the first is due first */
static size_t waiting_count;
static uint64_t passed, lost, delayed, packet_number;
static struct random dice;

/* ---- Namespaces ---- */

static _Noreturn void not_permitted(const char *what)
{
	printf("not permitted: %s: %s\n", what, strerror(errno));
	exit(NOT_PERMITTED);
}

static unsigned host_of(unsigned place)
{
	return place == 0 ? 1 : 10 + place;
}

static void set_address(int control, struct ifreq *request, unsigned long what, const char *text)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	(void)inet_pton(AF_INET, text, &address.sin_addr);
	memcpy(&request->ifr_addr, &address, sizeof(address));
	if (ioctl(control, what, request) != 0)
		not_permitted("an address");
}

static void raise_device(int control, const char *name)
{
	struct ifreq request = {0};
	memcpy(request.ifr_name, name, strlen(name));
	request.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(control, SIOCSIFFLAGS, &request) != 0)
		not_permitted("a device that is up");
}

/* This process goes on into the new namespace; those before stay, by their descriptors. */
static void make_place(unsigned place)
{
	char text[32];
	if (unshare(CLONE_NEWNET) != 0)
		not_permitted("a network namespace");
	int space = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (space < 0 || dup2(space, NAMESPACE_BASE + (int)place) < 0)
		not_permitted("/proc/self/ns/net");
	(void)close(space);
	int device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	struct ifreq request = {.ifr_name = "wire0"};
	request.ifr_flags = IFF_TUN | IFF_NO_PI;
	if (device < 0 || ioctl(device, TUNSETIFF, &request) != 0)
		not_permitted("/dev/net/tun");
	int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (control < 0)
		not_permitted("a socket");
	raise_device(control, "lo");
	(void)snprintf(text, sizeof(text), "10.77.0.%u", host_of(place));
	set_address(control, &request, SIOCSIFADDR, text);
	set_address(control, &request, SIOCSIFNETMASK, "255.255.255.0");
	raise_device(control, "wire0");
	(void)close(control);
	devices[place] = device;
}

/* ---- Packets under way ---- */

static bool sooner(const struct packet *a, const struct packet *b)
{
	return a->due_ns < b->due_ns || (a->due_ns == b->due_ns && a->number < b->number);
}

static void swap(size_t a, size_t b)
{
	struct packet *other = waiting[a];
	waiting[a] = waiting[b];
	waiting[b] = other;
}

static void put(struct packet *packet)
{
	size_t at = waiting_count++;
	waiting[at] = packet;
	for (; at > 0 && sooner(waiting[at], waiting[(at - 1) / 2]); at = (at - 1) / 2)
		swap(at, (at - 1) / 2);
}

static struct packet *take(void)
{
	struct packet *first = waiting[0];
	size_t at = 0;
	waiting[0] = waiting[--waiting_count];
	for (;;) {
		size_t least = at;
		for (size_t child = 2 * at + 1; child <= 2 * at + 2; child++)
			if (child < waiting_count && sooner(waiting[child], waiting[least]))
				least = child;
		if (least == at)
			return first;
		swap(at, least);
		at = least;
	}
}

static void deliver(unsigned to, const unsigned char *content, size_t bytes)
{
	/* A device whose queue is full loses it, as devices do. */
	if (write(devices[to], content, bytes) == (ssize_t)bytes)
		passed++;
	else
		lost++;
}

static bool place_of(const unsigned char *address, unsigned *ret_place)
{
	if (memcmp(address, (const unsigned char[]){10, 77, 0}, 3) != 0)
		return false;
	for (unsigned place = 0; place < places; place++)
		if (host_of(place) == address[3]) {
			*ret_place = place;
			return true;
		}
	return false;
}

static void pass_on(unsigned from, const unsigned char *content, size_t bytes)
{
	unsigned to;
	/* IPv4, with its destination at byte 16; what a device says to everybody is no matter. */
	if (bytes < 20 || content[0] >> 4 != 4 || !place_of(content + 16, &to))
		return;
	const struct path *path = &paths[from][to];
	if (path->cut || random_below(&dice, 100) < path->loss_percent ||
	    (path->delay_ms && waiting_count == WAITING_MAX)) {
		lost++;
		return;
	}
	if (!path->delay_ms) {
		deliver(to, content, bytes);
		return;
	}
	struct packet *packet = malloc(sizeof(*packet));
	if (!packet)
		return;
	delayed++;
	packet->number = ++packet_number;
	packet->due_ns = clock_monotonic_ns() + path->delay_ms * NS_PER_MS +
	                 random_below(&dice, path->jitter_ms * NS_PER_MS + 1);
	packet->to = to;
	packet->bytes = bytes;
	memcpy(packet->content, content, bytes);
	put(packet);
}

static void read_device(unsigned from)
{
	unsigned char content[PACKET_MAX];
	for (int i = 0; i < 64; i++) {
		ssize_t bytes = read(devices[from], content, sizeof(content));
		if (bytes <= 0)
			return;
		pass_on(from, content, (size_t)bytes);
	}
}

static int deliver_due(void)
{
	while (waiting_count > 0) {
		uint64_t now = clock_monotonic_ns();
		if (waiting[0]->due_ns > now)
			return (int)((waiting[0]->due_ns - now) / NS_PER_MS) + 1;
		struct packet *packet = take();
		deliver(packet->to, packet->content, packet->bytes);
		free(packet);
	}
	return -1;
}

/* ---- Commands ---- */

static bool in_range(const char *word, unsigned place)
{
	return strcmp(word, "*") == 0 || strtoul(word, NULL, 10) == place;
}

static bool change(const char *what, const char *from, const char *to, unsigned a, unsigned b)
{
	bool any = false;
	for (unsigned i = 0; i < places; i++)
		for (unsigned k = 0; k < places; k++) {
			if (i == k || !in_range(from, i) || !in_range(to, k))
				continue;
			any = true;
			if (strcmp(what, "cut") == 0)
				paths[i][k].cut = true;
			else if (strcmp(what, "loss") == 0)
				paths[i][k].loss_percent = a;
			else if (strcmp(what, "delay") == 0)
				paths[i][k].delay_ms = a, paths[i][k].jitter_ms = b;
			else
				return false;
		}
	return any;
}

static void obey(const char *line)
{
	char what[16], from[8], to[8];
	unsigned a = 0, b = 0;
	int words = sscanf(line, "%15s %7s %7s %u %u", what, from, to, &a, &b);
	if (words == 1 && strcmp(what, "heal") == 0) {
		memset(paths, 0, sizeof(paths));
		printf("ok\n");
	} else if (words == 1 && strcmp(what, "count") == 0) {
		printf("passed=%" PRIu64 " lost=%" PRIu64 " delayed=%" PRIu64 "\n", passed, lost,
		    delayed);
	} else {
		printf("%s\n", words >= 3 && change(what, from, to, a, b) ? "ok" : "what?");
	}
}

/* Whether there may be more. */
static bool read_commands(void)
{
	static char text[256];
	static size_t bytes;
	ssize_t more = read(STDIN_FILENO, text + bytes, sizeof(text) - 1 - bytes);
	if (more <= 0)
		return false;
	bytes += (size_t)more;
	text[bytes] = '\0';
	for (char *end; (end = strchr(text, '\n'));) {
		*end = '\0';
		obey(text);
		bytes -= (size_t)(end + 1 - text);
		memmove(text, end + 1, bytes + 1);
	}
	return bytes < sizeof(text) - 1;
}

int main(int argc, char **argv)
{
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	places = argc == 3 ? (unsigned)strtoul(argv[1], NULL, 10) + 1 : 0;
	if (places < 2 || places > PLACES_MAX) {
		(void)fprintf(stderr, "usage: see the head of tests/cluster/wire.c\n");
		return 2;
	}
	random_init(&dice, strtoull(argv[2], NULL, 10));
	struct pollfd ready[PLACES_MAX + 1];
	for (unsigned place = 0; place < places; place++) {
		make_place(place);
		ready[place] = (struct pollfd){.fd = devices[place], .events = POLLIN};
	}
	ready[places] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
	printf("ready\n");
	for (;;) {
		if (poll(ready, places + 1, deliver_due()) < 0 && errno != EINTR)
			return 1;
		for (unsigned place = 0; place < places; place++)
			if (ready[place].revents)
				read_device(place);
		if (ready[places].revents && !read_commands())
			return 0;
	}
}
