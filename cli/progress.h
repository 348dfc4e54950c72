/* SPDX-License-Identifier: Apache-2.0 */
/*
 * progress.h: a progress bar on stderr for whatever takes more than a second, on a terminal only.
 *
 * One bar at a time. A thread of its own draws it, so that the work it shows is not timed with it.
 */
#ifndef PROGRESS_H
#define PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

/* Starts a bar of `total` steps; 0 if the number is not known: then the seconds count. Does nothing
   where stderr is no terminal or `quiet`. */
void progress_start(const char *label, size_t total, bool quiet);

/* One more step is done; any thread. */
void progress_advance(void);

/* Takes the bar away; without one does nothing. */
void progress_stop(void);

#endif /* PROGRESS_H */
