/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sanitizers.c: part of every test program that loads the stand-in. GCC's libobjc keeps what it builds when classes
 * are loaded, about 150 bytes a file; objects of the stand-in come from calloc in its own code and are still seen.
 */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libobjc.so\n";
}

__attribute__((visibility("default"))) const char *__lsan_default_options(void);
const char *__lsan_default_options(void)
{
    return "print_suppressions=0";
}
