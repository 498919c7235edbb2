/* A disk that does not read some of the tables: RocksDB's reads of them fail with EIO. */
#ifndef KX_TESTS_UNIT_STORE_BAD_DISK_H
#define KX_TESTS_UNIT_STORE_BAD_DISK_H

/* Of files whose path ends so; NULL: of none. It stays the caller's. Any thread. */
void bad_disk_set(const char *end_of_path);

#endif
