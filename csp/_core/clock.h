/* csp's clock: what timers, timeouts and supervisors go by.  It is the monotonic clock, and never goes back; a test can make it stand
 * still and move it forward by hand (csp.testing.VirtualClock), for the whole process.  The idea and the meaning of `advance` are
 * tokio's time::pause and time::advance, and trio's MockClock.
 *
 * Whoever sleeps until a time on this clock asks csp_clock_until() how long that is.  Moving the clock ends the waits whose time has
 * come before it returns; as it stands, and when it goes on, sleepers look for themselves.
 *
 * What bounds the engine's own patience (an interpreter's end, the watchdog, the look for a deadlock) goes by csp_now(), always.
 */
#ifndef CSP_CLOCK_H
#define CSP_CLOCK_H

#include "park.h"

csp_time csp_clock(void);

/* As far as it can be moved, 146 years: a clock that then goes on must not run over. */
#define CSP_CLOCK_END (CSP_NEVER / 2)

/* csp_clock() + seconds, saturating: infinity and anything beyond the clock's range mean CSP_NEVER.  `seconds` >= 0. */
csp_time csp_deadline_after(double seconds);

/* When, by csp_now(), who waits until `at` is to look again: then, if the clock runs; in a while, if it stands. */
csp_time csp_clock_until(csp_time at);

/* `at` as the world is to see it: the time of time.monotonic(), if the clock runs. */
csp_time csp_clock_shown(csp_time at);

bool csp_clock_stands(void);

/* Stand still.  False: it does already, and nothing was done.  This thread's blocking waits go by csp_now() too from now on: nobody
 * else is there to move the clock while it waits, so a timeout stays the guard that it was meant to be. */
bool csp_clock_stop(void);

/* Any thread.  Go on from where it stands; no effect if it runs. */
void csp_clock_resume(void);

/* Forward by `step` >= 0, at once, and end what is due: first timers that somebody waits for, then timeouts, each in the order of their
 * times.  False: it does not stand, or (p_no_memory) there is no memory to look.  No lock held. */
bool csp_clock_advance(csp_time step, bool *p_no_memory);

/* Also by csp_now() goes a blocking wait of this thread, while the clock stands: until when, or CSP_NEVER.  `deadline` is on csp's
 * clock. */
csp_time csp_clock_guard(csp_time deadline);
bool csp_clock_guard_thread(bool on); /* as csp_clock_stop() does for its caller; this thread only; returns what it was */

/* The times of all waits, by csp_clock(), that the clock will end, ascending, in a RAW array to be freed; NULL without memory. */
csp_time *csp_clock_waits(uint32_t *p_count);

/* Run, and show the monotonic time, as if it had never stood.  While nothing waits: in the child of a fork, by the registry, for
 * nobody is there to move it, and in tests. */
void csp_clock_reset(void);

#endif
