#ifndef GUARDS_H
#define GUARDS_H
#endif
