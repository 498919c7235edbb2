/* The umlauts of this line are a column each, so that it just fits: üüüüüüüüüüüüüüüüüüüüüüüüüüüü */
/* This line does not fit: .......................................................................... */
