/* Slabs: see slab.h. */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* memfd_create, MADV_REMOVE */
#endif
#include "slab.h"

#include "mem.h"

#ifdef __linux__
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#define IDLE_KEEP ((size_t)256 << 20) /* as much as region.c keeps */

static _Atomic size_t idle_bytes; /* process-wide; relaxed: it decides how much is kept, not what may be touched */
static _Atomic long nlive;        /* process-wide; relaxed: for tests only */

size_t csp_slabs_idle(void) { return atomic_load_explicit(&idle_bytes, memory_order_relaxed); } /* see there */
long csp_slabs_live(void) { return atomic_load_explicit(&nlive, memory_order_relaxed); }        /* likewise */

#ifndef __linux__

csp_slab *csp_slab_new(size_t size, int *p_fd) { return (void)size, (void)p_fd, NULL; }
csp_slab *csp_slab_of(int fd) { return (void)fd, NULL; }
void csp_slab_decref(csp_slab *slab) { (void)slab; }
bool csp_slab_claim(csp_slab *slab) { return (void)slab, false; }
void csp_slab_unclaim(csp_slab *slab) { (void)slab; }
csp_block *csp_slab_block(csp_slab *slab, size_t length) { return (void)slab, (void)length, NULL; }

#else

/* The last bytes of the file, for both processes.  Who fills it goes from FREE to FULL, who reads it goes back. */
typedef struct {
    _Alignas(64) _Atomic uint32_t state; /* release when given back, acquire when claimed */
} mark;

enum { FREE = 0, FULL = 1, HOLLOW = 2 /* free, and its pages are the system's again */ };

static mark *mark_of(csp_slab *slab) { return (mark *)(void *)(csp_slab_data(slab) + slab->size); }

static size_t round_up(size_t size, size_t unit) { return (size + unit - 1) / unit * unit; }

/* Our page, and the file behind it. */
static csp_slab *map_file(int fd, size_t mapped, int flags)
{
    csp_slab *slab = csp_raw_calloc(1, sizeof *slab);
    if (slab == NULL)
        return NULL;
    slab->page = (size_t)sysconf(_SC_PAGESIZE);
    slab->mapped = mapped;
    slab->size = mapped - sizeof(mark);
    slab->process = (long)getpid();
    void *base = mmap(NULL, slab->page + mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
        csp_raw_free(slab);
        return NULL;
    }
    if (mmap((char *)base + slab->page, mapped, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | flags, fd, 0) == MAP_FAILED) {
        munmap(base, slab->page + mapped);
        csp_raw_free(slab);
        return NULL;
    }
    slab->base = base;
    atomic_init(&slab->refs, 1);
    atomic_init(&slab->out, false);
    atomic_init(&slab->idle, false);
    atomic_fetch_add_explicit(&nlive, 1, memory_order_relaxed); /* see there */
    return slab;
}

#define SEALABLE 3u /* MFD_CLOEXEC | MFD_ALLOW_SEALING */

csp_slab *csp_slab_new(size_t size, int *p_fd)
{
    if (csp_mem_fails() || size > SIZE_MAX / 4)
        return NULL;
    int fd = (int)syscall(SYS_memfd_create, "csp", SEALABLE);
    if (fd < 0)
        return NULL;
    size_t mapped = round_up(size + sizeof(mark), (size_t)sysconf(_SC_PAGESIZE));
    /* Its size is for good: the other process relies on the pages that it has mapped. */
    bool sized = ftruncate(fd, (off_t)mapped) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0;
    csp_slab *slab = sized ? map_file(fd, mapped, 0) : NULL;
    if (slab == NULL) {
        close(fd);
        return NULL;
    }
#ifdef MADV_POPULATE_WRITE
    madvise(csp_slab_data(slab), mapped, MADV_POPULATE_WRITE); /* all at once; page by page costs twice as much */
#endif
    *p_fd = fd;
    return slab;
}

csp_slab *csp_slab_of(int fd)
{
    struct stat status;
    int seals = fcntl(fd, F_GET_SEALS);
    if (csp_mem_fails() || seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &status) != 0 || status.st_size < (off_t)sizeof(mark) ||
        (size_t)status.st_size % sizeof(mark) != 0)
        return NULL;
    return map_file(fd, (size_t)status.st_size, MAP_POPULATE);
}

static void uncount_idle(csp_slab *slab)
{
    if (atomic_exchange_explicit(&slab->idle, false, memory_order_relaxed)) /* one thread gets it */
        atomic_fetch_sub_explicit(&idle_bytes, slab->mapped, memory_order_relaxed); /* see there */
}

void csp_slab_decref(csp_slab *slab)
{
    /* Whoever drops the last one sees what the others did. */
    if (atomic_fetch_sub_explicit(&slab->refs, 1, memory_order_acq_rel) != 1)
        return;
    uncount_idle(slab);
    munmap(slab->base, slab->page + slab->mapped);
    csp_raw_free(slab);
    atomic_fetch_sub_explicit(&nlive, 1, memory_order_relaxed); /* see there */
}

/* --- the process that fills it --- */

bool csp_slab_claim(csp_slab *slab)
{
    _Atomic uint32_t *state = &mark_of(slab)->state;
    /* Acquire, pairs with the release in give_back(): what the other process has read, it has read.  Nobody else claims it. */
    if (atomic_load_explicit(state, memory_order_acquire) == FULL)
        return false;
    atomic_store_explicit(state, FULL, memory_order_relaxed); /* the other one hears of it by way of the socket */
    return true;
}

void csp_slab_unclaim(csp_slab *slab) { atomic_store_explicit(&mark_of(slab)->state, FREE, memory_order_relaxed); } /* it is ours */

/* --- the other one --- */

/* Keep the pages warm, unless that would be too many.  Two of a size are kept however large they are: a receiver often has one in its
 * hands until it has the next. */
static bool keeps(csp_slab *slab)
{
    size_t before = atomic_fetch_add_explicit(&idle_bytes, slab->mapped, memory_order_relaxed); /* see there */
    if (before <= slab->mapped || before + slab->mapped <= IDLE_KEEP)
        return true;
    atomic_fetch_sub_explicit(&idle_bytes, slab->mapped, memory_order_relaxed);
    return false;
}

/* Its block is gone, which ends the use of the memory here. */
static void give_back(csp_block *block)
{
    csp_slab *slab = block->owner;
    if ((long)getpid() == slab->process) { /* not what a fork has left us: the parent still uses it */
        bool kept = keeps(slab);
        if (!kept)
            madvise(csp_slab_data(slab), slab->size / slab->page * slab->page, MADV_REMOVE);
        atomic_store_explicit(&slab->idle, kept, memory_order_relaxed); /* our own, until `out` is false */
        atomic_store_explicit(&slab->out, false, memory_order_release); /* pairs with the acquire in csp_slab_block() */
        /* Release, pairs with the acquire in csp_slab_claim(), over there. */
        atomic_store_explicit(&mark_of(slab)->state, kept ? FREE : HOLLOW, memory_order_release);
    }
    csp_slab_decref(slab);
}

csp_block *csp_slab_block(csp_slab *slab, size_t length)
{
    /* Acquire, pairs with the release in give_back(): the header is written again. */
    if (length > slab->size || atomic_exchange_explicit(&slab->out, true, memory_order_acquire))
        return NULL;
    uncount_idle(slab);
    atomic_fetch_add_explicit(&slab->refs, 1, memory_order_relaxed); /* the caller has one */
    return csp_block_lay(csp_slab_data(slab), length, give_back, slab);
}

#endif
