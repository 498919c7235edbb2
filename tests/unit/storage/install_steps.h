/* One world of install_world.h without faults, the shard in it that tests are about, and the steps
 * that they are made of. Each step goes on until what it says has happened, and fails where it
 * cannot. */
#ifndef KX_TESTS_UNIT_STORAGE_INSTALL_STEPS_H
#define KX_TESTS_UNIT_STORAGE_INSTALL_STEPS_H

#include "tests/unit/storage/install_world.h"

extern struct install_world installs_world;
extern struct install_shard *installs_shard; /* its second one */

void installs_setup(void);
void installs_teardown(void);
void installs_boot(void);
void installs_reboot(enum sim_crash crash);
/* Boots, and each shard gets some entries. */
void installs_start(void);

/* So many entries, which are applied: to each shard, to this one, or to installs_shard. */
void installs_append_to_all(uint64_t entries);
void installs_append_to(const struct install_shard *one, uint64_t entries);
void installs_append_to_one(uint64_t entries);

/* A snapshot comes for installs_shard, far above what it has; and everything ends; and it did. */
void installs_begin(void);
void installs_begin_and_settle(void);
void installs_take_one(void);
/* For install_world_inside: it is taken away. */
void installs_remove(struct install_world *inside);

void installs_checkpoint(void);

void installs_expect_no_files(void);
bool installs_has_intent(void);

#endif
