/* Nobody left who can complete a wait: found, and said to those who wait.
 *
 * A wait is *for ever* if it has no deadline and no timer among its cases.  An interpreter is *stuck* if each of its threads
 * waits for ever.  A set of stuck interpreters is deadlocked if whatever could complete one of their waits is held by the
 * set: the handles of the other side, those in messages that only the set could receive, those in values on lease.  It is the
 * largest such set that is looked for: start from all stuck ones, strike out whoever can be helped from outside, repeat.
 *
 * An actor that waits for itself alone, and for which nobody waits, is left alone: it may be stopped.  (The main program in
 * such a wait is told: who else would?)
 *
 * What cannot be attributed counts as outside: so the answer "deadlock" is never wrong, and a program with a thread that is
 * not waiting in csp stays silent.  A deadlock is for good, so it is enough to look once, a while after the last
 * thread went to sleep; that thread does it (csp_waiter_park), and no service thread is needed, nor any work while running.
 * Two things can complete a deadlock later: a handle is closed (ask_to_look in chan.c), or a thread that was not waiting ends; who
 * waits beside others therefore counts them now and then (py_wait.c), and looks again if there are fewer.
 *
 * After Go's "all goroutines are asleep"; the set is found also while other parts of the program run.
 */
#ifndef CSP_DEADLOCK_H
#define CSP_DEADLOCK_H

#include "interp.h"

#define CSP_LOOK_SOON (100 * 1000000LL)  /* how long a wait for ever lasts before it looks */
#define CSP_LOOK_LATE (10000 * 1000000LL) /* at the most, in a program of so many actors that a look takes long */
#define CSP_LOOK_MAIN (1500 * 1000000LL) /* the main thread is left alone for longer: a signal may be on its way */

extern _Atomic csp_time csp_look_patience; /* process-wide; CSP_LOOK_SOON to _LATE; relaxed: advice */
extern _Atomic bool csp_deadlock_detection; /* process-wide; relaxed: a switch */

#define CSP_REPORT_TEXT 400

/* One wait of a deadlock. */
typedef struct {
    char what[CSP_REPORT_TEXT]; /* immutable once published: who waits for what, and who holds the other side */
    char where[CSP_REPORT_TEXT]; /* guarded by report->lock: the place in the source; said by who waits, when it wakes */
} csp_report_line;

/* What is known of a deadlock, shared by those in it.  RAW, counted: each waiter in it has a reference. */
typedef struct csp_report {
    csp_lock lock;           /* rank POOL */
    _Atomic uint32_t refs;   /* acquire-release in decref */
    _Atomic uint32_t missing; /* futex word: places not said yet; release in csp_report_say / acquire in csp_report_await */
    uint32_t nlines;         /* immutable once published */
    csp_report_line lines[]; /* as above */
} csp_report;

void csp_report_decref(csp_report *report);
void csp_report_say(csp_report *report, uint32_t line, const char *where);
void csp_report_await(csp_report *report, csp_time deadline); /* until all have said theirs, or the deadline */

/* Look, and break off the waits of a deadlocked set with CSP_DEADLOCK.  By a thread whose own wait is on its interpreter's list;
 * no lock held, no thread state needed. */
void csp_deadlock_look(void);

#endif
