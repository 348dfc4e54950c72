/* SPDX-License-Identifier: Apache-2.0 */
/*
 * anymps/auto.h: release at scope exit, for GCC and Clang. Opt-in; not included by anymps.h.
 *
 *     ANYMPS_AUTO(anymps_buffer) buffer = NULL;
 *     if (anymps_buffer_create(device, 64, ANYMPS_STORAGE_SHARED, &buffer) != ANYMPS_OK) return 1;
 *     return ANYMPS_STEAL(buffer);   // hands it on; without this it is released here
 */
#ifndef ANYMPS_AUTO_H
#define ANYMPS_AUTO_H

#include <anymps/anymps.h>

#if !defined(__GNUC__) && !defined(__clang__)
#error "anymps/auto.h needs the cleanup attribute of GCC or Clang"
#endif

/* What the cleanup attribute calls, one function a type; ANYMPS_AUTO names them. */
static inline void anymps_auto_anymps_device(anymps_device **object)
{
    anymps_device_release(*object);
}
static inline void anymps_auto_anymps_buffer(anymps_buffer **object)
{
    anymps_buffer_release(*object);
}
static inline void anymps_auto_anymps_matrix(anymps_matrix **object)
{
    anymps_matrix_release(*object);
}
static inline void anymps_auto_anymps_vector(anymps_vector **object)
{
    anymps_vector_release(*object);
}
static inline void anymps_auto_anymps_queue(anymps_queue **object)
{
    anymps_queue_release(*object);
}
static inline void anymps_auto_anymps_kernel(anymps_kernel **object)
{
    anymps_kernel_release(*object);
}
static inline void anymps_auto_anymps_file(anymps_file **object)
{
    anymps_file_release(*object);
}
static inline void anymps_auto_anymps_command_buffer(anymps_command_buffer **object)
{
    anymps_command_buffer_release(*object);
}

/* Declares a variable `type *` that releases its object when the scope ends. Initialise it. */
#define ANYMPS_AUTO(type) __attribute__((cleanup(anymps_auto_##type))) type *

/* The object, with the variable set to NULL: ownership goes to whoever takes the value. */
#define ANYMPS_STEAL(variable)                                                                                         \
    __extension__({                                                                                                    \
        __typeof__(variable) anymps_stolen_ = (variable);                                                              \
        (variable) = NULL;                                                                                             \
        anymps_stolen_;                                                                                                \
    })

#endif /* ANYMPS_AUTO_H */
