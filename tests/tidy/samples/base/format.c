int format(int x) { return x; }
