/* SPDX-License-Identifier: Apache-2.0 */
/* A shared library for dynamic_library_test. */
int mlos_test_library_answer(void);
int mlos_test_library_answer(void) { return 42; }
