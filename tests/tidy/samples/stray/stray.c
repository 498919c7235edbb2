extern int stray;
