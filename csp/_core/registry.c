/* The process-wide tables.  Their locks are the last in the order but for the pools'. */
#include "registry.h"

#include "clock.h"
#include "mem.h"
#include "region.h"

#ifndef _WIN32
#include <pthread.h>
#endif

_Atomic uint32_t csp_fork_generation; /* process-wide; relaxed everywhere: changes only while one thread exists */

static csp_lock table_lock = CSP_LOCK_INIT(REGISTRY); /* process-wide */
static csp_chan *channels;          /* process-wide; guarded by table_lock */
static csp_interp *interpreters;    /* process-wide; guarded by table_lock */
static long nchannels, ninterpreters; /* process-wide; guarded by table_lock */
static _Atomic long nidle;          /* process-wide; relaxed: for the census only */
static _Atomic uint64_t last_chan_id; /* process-wide; relaxed: only uniqueness counts */

void csp_registry_add_chan(csp_chan *chan)
{
    chan->id = 1 + atomic_fetch_add_explicit(&last_chan_id, 1, memory_order_relaxed);
    csp_lock_init(&chan->lock, CSP_RANK_CHAN, chan->id); /* before anybody can find it in the table */
    csp_lock_acquire(&table_lock);
    chan->next_registered = channels;
    chan->prev_registered = &channels;
    if (channels != NULL)
        channels->prev_registered = &chan->next_registered;
    channels = chan;
    nchannels++;
    csp_lock_release(&table_lock);
}

void csp_registry_remove_chan(csp_chan *chan)
{
    csp_lock_acquire(&table_lock);
    *chan->prev_registered = chan->next_registered;
    if (chan->next_registered != NULL)
        chan->next_registered->prev_registered = chan->prev_registered;
    nchannels--;
    csp_lock_release(&table_lock);
}

void csp_registry_add_interp(csp_interp *interp)
{
    csp_lock_acquire(&table_lock);
    interp->prev = NULL;
    interp->next = interpreters;
    if (interpreters != NULL)
        interpreters->prev = interp;
    interpreters = interp;
    ninterpreters++;
    csp_lock_release(&table_lock);
}

void csp_registry_remove_interp(csp_interp *interp)
{
    csp_lock_acquire(&table_lock);
    *(interp->prev != NULL ? &interp->prev->next : &interpreters) = interp->next;
    if (interp->next != NULL)
        interp->next->prev = interp->prev;
    ninterpreters--;
    csp_lock_release(&table_lock);
}

/* A reference, unless the last one is gone and the record is about to leave its table. */
static bool try_incref(_Atomic uint32_t *refs)
{
    uint32_t n = atomic_load_explicit(refs, memory_order_relaxed); /* the exchange checks it */
    while (n > 0)
        if (atomic_compare_exchange_weak_explicit(refs, &n, n + 1, memory_order_relaxed, memory_order_relaxed))
            return true;
    return false;
}

csp_interp **csp_registry_interps(uint32_t *p_count)
{
    uint32_t n = 0;
    csp_lock_acquire(&table_lock);
    csp_interp **list = csp_raw_alloc((size_t)(ninterpreters + 1) * sizeof *list);
    for (csp_interp *interp = interpreters; list != NULL && interp != NULL; interp = interp->next)
        if (try_incref(&interp->refs))
            list[n++] = interp;
    csp_lock_release(&table_lock);
    *p_count = n;
    return list;
}

csp_chan **csp_registry_chans(uint32_t *p_count)
{
    uint32_t n = 0;
    csp_lock_acquire(&table_lock);
    csp_chan **list = csp_raw_alloc((size_t)(nchannels + 1) * sizeof *list);
    for (csp_chan *chan = channels; list != NULL && chan != NULL; chan = chan->next_registered)
        if (try_incref(&chan->refs))
            list[n++] = chan;
    csp_lock_release(&table_lock);
    *p_count = n;
    return list;
}

void csp_registry_count_idle(int change) { atomic_fetch_add_explicit(&nidle, change, memory_order_relaxed); /* see there */ }

void csp_registry_census(csp_census *p_census)
{
    csp_lock_acquire(&table_lock);
    p_census->channels = nchannels - atomic_load_explicit(&nidle, memory_order_relaxed); /* see there */
    p_census->interpreters = ninterpreters;
    csp_lock_release(&table_lock);
    p_census->blobs = csp_blobs_live();
    p_census->blocks = csp_blocks_live();
    p_census->buffers = csp_regions_live();
    p_census->buffer_bytes = csp_regions_bytes();
}

#ifndef _WIN32
/* The table is whole in the child because the forking thread holds its lock meanwhile. */
static void before_fork(void) { csp_lock_acquire(&table_lock); }
static void after_fork_in_parent(void) { csp_lock_release(&table_lock); }

static void after_fork_in_child(void)
{
    atomic_fetch_add_explicit(&csp_fork_generation, 1, memory_order_relaxed);
    channels = NULL; /* they are foreign now and are never freed */
    nchannels = 0;
    atomic_store_explicit(&nidle, 0, memory_order_relaxed); /* see there */
    for (csp_interp *interp = interpreters; interp != NULL; interp = interp->next)
        csp_interp_after_fork(interp);
    csp_park_after_fork();
    csp_clock_reset();
    csp_pool_after_fork();
    csp_regions_after_fork();
    csp_lock_release(&table_lock);
}

static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void install(void) { pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child); }

void csp_registry_install_fork_handler(void) { pthread_once(&fork_once, install); }
#else
void csp_registry_install_fork_handler(void) {}
#endif
