/* What RocksDB does with its list of files, and nothing else: files are made, and a file that names
 * them takes the place of the one that named those before. No sync makes their names durable ahead
 * of the other one, so everything stands on the order in which names become durable, over any
 * number of processes: what is named is there.
 *
 * It is here for the library's sake: quick enough to be cut off at every moment. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/preload/victim.h"

/* Of what is said to be durable. */
enum { SET };

enum {
	SETS_PER_STEP = 2,
	PARTS = 6, /* files of a set */
	PATH_BYTES = 600,
	TEXT_BYTES = 64,
};

static struct victim victim;

static void path_of(char path[PATH_BYTES], const char *name)
{
	int bytes = snprintf(path, PATH_BYTES, "%s/%s", victim.dir, name);
	if (bytes < 0 || bytes >= PATH_BYTES)
		victim_wrong("the directory's name is too long");
}

static void part_name(char name[TEXT_BYTES], uint64_t set, unsigned part)
{
	snprintf(name, TEXT_BYTES, "set-%llu-%u", (unsigned long long)set, part);
}

/* False: it is not there. */
static bool read_text(const char *name, char text[TEXT_BYTES])
{
	char path[PATH_BYTES];
	path_of(path, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return false;
	ssize_t bytes = fd < 0 ? -1 : read(fd, text, TEXT_BYTES - 1);
	if (bytes < 0)
		victim_wrong("%s cannot be read: %s", name, strerror(errno));
	text[bytes] = '\0';
	close(fd);
	return true;
}

static void must(bool did, const char *what, const char *name)
{
	if (!did)
		victim_refuses("%s %s: %s", what, name, strerror(errno));
}

static void make_synced(const char *name, const char *text)
{
	char path[PATH_BYTES];
	path_of(path, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	must(fd >= 0, "open", name);
	must(write(fd, text, strlen(text)) == (ssize_t)strlen(text), "write", name);
	must(fsync(fd) == 0, "fsync", name);
	must(close(fd) == 0, "close", name);
}

/* The number of the set that is named; 0: none is. */
static uint64_t check(void)
{
	char text[TEXT_BYTES];
	char name[TEXT_BYTES];
	char path[PATH_BYTES];
	uint64_t set = 0;
	if (read_text("current", text)) {
		set = strtoull(text, NULL, 10);
		if (set == 0)
			victim_wrong("what is named is lost: \"%s\"", text);
		for (unsigned part = 0; part < PARTS; part++) {
			part_name(name, set, part);
			path_of(path, name);
			if (access(path, F_OK) != 0)
				victim_wrong("\"%s\" is named, and is not there", name);
		}
	}
	if (set < victim.said[SET])
		victim_wrong("set %llu was acknowledged, and %llu is there",
		    (unsigned long long)victim.said[SET], (unsigned long long)set);
	return set;
}

static void next_set(int directory, uint64_t set)
{
	char text[TEXT_BYTES];
	char name[TEXT_BYTES];
	char path[PATH_BYTES];
	char temporary[PATH_BYTES];
	for (unsigned part = 0; part < PARTS; part++) {
		part_name(name, set, part);
		path_of(path, name);
		/* One of a process that was cut off may be there. */
		int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		must(fd >= 0, "open", name);
		must(close(fd) == 0, "close", name);
	}
	snprintf(text, sizeof(text), "%llu", (unsigned long long)set);
	make_synced("next", text);
	path_of(temporary, "next");
	path_of(path, "current");
	must(rename(temporary, path) == 0, "rename", path);
	must(fsync(directory) == 0, "fsync", victim.dir);
	victim.said[SET] = set;
	victim_says_durable(victim.said);
}

int main(int argc, char **argv)
{
	victim = victim_of(argc, argv);
	/* What is found may be in the page cache only: that it is durable is not said. */
	uint64_t set = check();
	int directory = open(victim.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(directory >= 0, "open", victim.dir);
	for (uint64_t i = 0; i < victim.steps * SETS_PER_STEP; i++)
		next_set(directory, ++set);
	close(directory);
	return 0;
}
