/* TODO: finish. */
int words; /* see issue 7 */
const char *path = "/home/somebody/kalix";
/* As DESIGN.md says. */
/* Fixed in #12. */
