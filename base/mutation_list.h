/* Every mutation (base/mutation.h): X(name, what the faulty code does, seeds within which the
 * simulator finds it). Names begin with their module's. Where MUTATION(name) stands in the code,
 * the comment beside it says which rule it breaks. */
#ifndef KX_BASE_MUTATION_LIST_H
#define KX_BASE_MUTATION_LIST_H

#define MUTATION_LIST(X)

#endif
