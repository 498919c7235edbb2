#ifndef KX_BASE_INNOCENT_H
#define KX_BASE_INNOCENT_H

#define HACKING 12 /* Neither a path nor a number: a/work/b, &#12;, item 3 of 4. */

#endif
