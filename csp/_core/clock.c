/* The clock, standing still, and what its advance ends. */
#include "clock.h"

#include "loop.h"
#include "registry.h"

#include <stdlib.h>

#define SLICE (50 * 1000000LL) /* how long a sleeper does not see that a clock that stood goes on */

/* Both are process-wide.  `stands_at` is where it stands, 0: it runs.  `offset` is csp_clock() - csp_now() while it runs; it is written
 * before the clock goes on: release in csp_clock_resume / acquire in read_clock.  On one line, which hardly anybody writes. */
static struct {
    _Atomic csp_time stands_at, offset;
    _Atomic uint32_t stops; /* how often it was stopped; relaxed: compared with what the same thread wrote */
} clock_state;

static _Thread_local uint32_t guarded_stop; /* the stop whose guard this thread is under; process-wide in kind, one a thread */
static _Thread_local bool always_guarded; /* under every one */

bool csp_clock_stands(void)
{
    return atomic_load_explicit(&clock_state.stands_at, memory_order_relaxed) != 0; /* a look; who sleeps looks again */
}

static csp_time offset(void)
{
    return atomic_load_explicit(&clock_state.offset, memory_order_relaxed); /* ordered by stands_at, see there */
}

csp_time csp_clock(void)
{
    csp_time at = atomic_load_explicit(&clock_state.stands_at, memory_order_acquire); /* pairs with csp_clock_resume */
    return at != 0 ? at : csp_now() + offset();
}

csp_time csp_deadline_after(double seconds)
{
    double ns = seconds * 1e9;
    csp_time now = csp_clock();
    if (!(ns < (double)(CSP_NEVER - now))) /* also infinity */
        return CSP_NEVER;
    csp_time whole = (csp_time)ns;
    if (ns - (double)whole > ns * 1e-15) /* never wake a nanosecond early; but 1.1 s are 1100000000 ns, whatever the product says */
        whole++;
    return now > CSP_NEVER - whole ? CSP_NEVER : now + whole;
}

csp_time csp_clock_until(csp_time at)
{
    if (at == CSP_NEVER)
        return CSP_NEVER;
    csp_time stands_at = atomic_load_explicit(&clock_state.stands_at, memory_order_acquire); /* pairs with csp_clock_resume */
    if (stands_at != 0)
        return at <= stands_at ? csp_now() : csp_now() + SLICE;
    return at - offset();
}

csp_time csp_clock_shown(csp_time at) { return csp_clock_stands() ? at : at - offset(); }

/* --- who is guarded --- */

bool csp_clock_guard_thread(bool on)
{
    bool was = always_guarded;
    always_guarded = on;
    return was;
}

csp_time csp_clock_guard(csp_time deadline)
{
    /* Relaxed: this thread wrote both, or is not guarded. */
    if (deadline == CSP_NEVER || !csp_clock_stands() ||
        !(always_guarded || guarded_stop == atomic_load_explicit(&clock_state.stops, memory_order_relaxed)))
        return CSP_NEVER;
    csp_time left = deadline - csp_clock(), now = csp_now();
    return left > CSP_NEVER - now ? CSP_NEVER : now + (left > 0 ? left : 0);
}

/* --- stop, go on --- */

bool csp_clock_stop(void)
{
    csp_time runs = 0, at = csp_clock();
    /* Release: who reads where it stands sees all that came before.  Two at once: one of them is refused. */
    if (!atomic_compare_exchange_strong_explicit(&clock_state.stands_at, &runs, at, memory_order_release, memory_order_relaxed))
        return false;
    guarded_stop = 1 + atomic_fetch_add_explicit(&clock_state.stops, 1, memory_order_relaxed); /* see there */
    return true;
}

void csp_clock_resume(void)
{
    csp_time at = atomic_load_explicit(&clock_state.stands_at, memory_order_relaxed); /* only who stopped it writes it */
    if (at == 0)
        return;
    atomic_store_explicit(&clock_state.offset, at - csp_now(), memory_order_relaxed); /* ordered by the next */
    atomic_store_explicit(&clock_state.stands_at, 0, memory_order_release); /* pairs with the acquire in csp_clock */
    /* Who sleeps in a thread looks within a SLICE; an event loop is told, for it has no other reason to look. */
    uint32_t n = 0;
    csp_interp **interps = csp_registry_interps(&n);
    for (uint32_t i = 0; interps != NULL && i < n; i++) {
        csp_lock_acquire(&interps[i]->lock);
        for (csp_waiter *w = interps[i]->parked; w != NULL; w = w->next_parked)
            if (w->loop != NULL) /* alive: its waits hold it, and leave the list before they let go */
                csp_loop_poke(w->loop);
        csp_lock_release(&interps[i]->lock);
        csp_interp_decref(interps[i]);
    }
    csp_raw_free(interps);
}

void csp_clock_reset(void)
{
    atomic_store_explicit(&clock_state.offset, 0, memory_order_relaxed); /* nobody else is here */
    atomic_store_explicit(&clock_state.stands_at, 0, memory_order_relaxed);
}

/* --- advance --- */

typedef struct {
    csp_time at;
    csp_chan *timer;    /* counted; or */
    csp_waiter *waiter; /* claimed by us: it stays until we finish it */
} due_item;

typedef struct {
    due_item *items; /* RAW, owned */
    uint32_t n, room;
    bool failed;
} due_list;

static bool reserve(due_list *list)
{
    if (list->n < list->room)
        return true;
    uint32_t room = list->room == 0 ? 32 : 2 * list->room;
    due_item *grown = csp_raw_realloc(list->items, room * sizeof *grown);
    if (grown == NULL) {
        list->failed = true;
        return false;
    }
    list->items = grown;
    list->room = room;
    return true;
}

static int by_time(const void *a, const void *b)
{
    csp_time x = ((const due_item *)a)->at, y = ((const due_item *)b)->at;
    return x < y ? -1 : x > y;
}

static void sort(due_list *list)
{
    if (list->n > 1)
        qsort(list->items, list->n, sizeof *list->items, by_time);
}

static bool somebody_waits(csp_chan *timer)
{
    csp_chan_lock(timer);
    bool waits = false; /* who was served by another case may not have left yet */
    for (csp_case *c = timer->receivers_waiting.head; c != NULL && !waits; c = c->next)
        waits = csp_waiter_waits(c->waiter); /* alive: to leave the queue it needs the lock */
    csp_chan_unlock(timer);
    return waits;
}

/* The timers that are due by `until` and waited for.  Each has a reference. */
static void find_timers(due_list *list, csp_time until)
{
    uint32_t n = 0;
    csp_chan **chans = csp_registry_chans(&n);
    list->failed |= chans == NULL;
    for (uint32_t i = 0; chans != NULL && i < n; i++) {
        csp_time due = csp_chan_due(chans[i]);
        if (due != CSP_NEVER && due <= until && somebody_waits(chans[i]) && reserve(list))
            list->items[list->n++] = (due_item){.at = due, .timer = chans[i]};
        else
            csp_chan_decref(chans[i]);
    }
    csp_raw_free(chans);
    sort(list);
}

static void fire_timers(csp_time now, bool *p_failed)
{
    due_list list = {0};
    find_timers(&list, now);
    for (uint32_t i = 0; i < list.n; i++) {
        csp_effects fx;
        csp_effects_init(&fx);
        csp_timer_fire(list.items[i].timer, now, &fx);
        csp_effects_run(&fx);
        csp_chan_decref(list.items[i].timer);
    }
    csp_raw_free(list.items);
    *p_failed |= list.failed;
}

/* The waits with a timeout up to `until`; `claim`: those that are ours now. */
static void find_timeouts(due_list *list, csp_time until, bool claim)
{
    uint32_t n = 0;
    csp_interp **interps = csp_registry_interps(&n);
    list->failed |= interps == NULL;
    for (uint32_t i = 0; interps != NULL && i < n; i++) {
        csp_lock_acquire(&interps[i]->lock);
        for (csp_waiter *w = interps[i]->parked; w != NULL; w = w->next_parked) {
            if (w->deadline == CSP_NEVER || w->deadline > until || !reserve(list))
                continue;
            if (claim ? csp_waiter_claim(w) : csp_waiter_waits(w))
                list->items[list->n++] = (due_item){.at = w->deadline, .waiter = w};
        }
        csp_lock_release(&interps[i]->lock);
        csp_interp_decref(interps[i]);
    }
    csp_raw_free(interps);
    sort(list);
}

static void end_timeouts(csp_time now, bool *p_failed)
{
    due_list list = {0};
    find_timeouts(&list, now, true);
    for (uint32_t i = 0; i < list.n; i++) {
        list.items[i].waiter->status = CSP_TIMEOUT;
        list.items[i].waiter->fired = NULL;
        csp_waiter_finish(list.items[i].waiter);
    }
    csp_raw_free(list.items);
    *p_failed |= list.failed;
}

bool csp_clock_advance(csp_time step, bool *p_no_memory)
{
    csp_time now, at = atomic_load_explicit(&clock_state.stands_at, memory_order_relaxed); /* the exchange checks it */
    *p_no_memory = false;
    do {
        if (at == 0)
            return false;
        now = step > CSP_CLOCK_END - at ? CSP_CLOCK_END : at + step;
        /* Release: pairs with the acquire in csp_clock. */
    } while (!atomic_compare_exchange_weak_explicit(&clock_state.stands_at, &at, now, memory_order_release, memory_order_relaxed));
    fire_timers(now, p_no_memory);
    end_timeouts(now, p_no_memory);
    return !*p_no_memory;
}

csp_time *csp_clock_waits(uint32_t *p_count)
{
    due_list list = {0};
    find_timers(&list, CSP_NEVER - 1);
    for (uint32_t i = 0; i < list.n; i++)
        csp_chan_decref(list.items[i].timer);
    find_timeouts(&list, CSP_NEVER - 1, false);
    csp_time *times = list.failed ? NULL : csp_raw_alloc((list.n + 1) * sizeof *times);
    for (uint32_t i = 0; times != NULL && i < list.n; i++)
        times[i] = list.items[i].at;
    csp_raw_free(list.items);
    *p_count = list.n;
    return times;
}
