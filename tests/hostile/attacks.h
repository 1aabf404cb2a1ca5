/* SPDX-License-Identifier: Apache-2.0 */
/* What the attacker plugin can be asked to do to the process, the machine and the host that it runs in. */
#ifndef MLOS_TESTS_HOSTILE_ATTACKS_H_
#define MLOS_TESTS_HOSTILE_ATTACKS_H_

#include <stddef.h>

/* Tries it and says in `outcome` how it went: "done", or "refused: <text of errno>". Some never return. */
typedef void (*attack_fn)(const char* argument, char* outcome, size_t size);

/* NULL when there is none of that name. */
attack_fn find_attack(const char* name);

#endif
