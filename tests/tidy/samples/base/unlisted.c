extern int unlisted;
