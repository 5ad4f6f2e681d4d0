/* Regions: where their memory comes from, and who keeps it.  See region.h. */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* memfd_create, madvise */
#endif
#include "region.h"

#include "mem.h"
#include "sync.h"

#ifndef _WIN32
#include <sys/mman.h>
#include <unistd.h>
#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif
#endif
#ifdef __linux__
#include <sys/syscall.h>
#endif

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define POISON(region) __asan_poison_memory_region((region)->data, (region)->mapped)
#define UNPOISON(region) __asan_unpoison_memory_region((region)->data, (region)->mapped)
#else
#define POISON(region) ((void)(region))
#define UNPOISON(region) ((void)(region))
#endif

#define KEEP_BYTES ((size_t)256 << 20)
#define KEEP_REGIONS 16
#define HUGE_PAGE ((size_t)2 << 20)

static _Atomic long nlive;         /* process-wide; relaxed: for the census only */
static _Atomic size_t live_bytes;  /* process-wide; relaxed: likewise */
static _Atomic size_t hugetlb_lacks = SIZE_MAX; /* process-wide; relaxed: advice, of so many bytes there were none */

static struct {
    csp_lock lock;      /* rank POOL */
    csp_region *newest; /* guarded by lock; linked by next */
    size_t bytes;       /* guarded by lock: mapped by those in the list */
    uint32_t n;         /* guarded by lock */
} pool = {.lock = CSP_LOCK_INIT(POOL)}; /* process-wide */

/* --- pages --- */

#ifdef _WIN32

/* Nothing is mapped: csp_region_new takes the heap. */
static bool map_pages(csp_region *region, size_t size) { return (void)region, (void)size, false; }
static void unmap(csp_region *region) { (void)region; }

#else

static size_t round_up(size_t size, size_t unit) { return (size + unit - 1) / unit * unit; }

#ifdef __linux__

static int memory_file(unsigned flags, size_t size)
{
    int fd = (int)syscall(SYS_memfd_create, "csp", 1u | flags); /* MFD_CLOEXEC */
    if (fd >= 0 && ftruncate(fd, (off_t)size) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

#define HUGETLB_2MB (0x0004u | 21u << 26) /* MFD_HUGETLB | MFD_HUGE_2MB */

static bool map_hugetlb(csp_region *region, size_t size)
{
    if (size < HUGE_PAGE || size >= atomic_load_explicit(&hugetlb_lacks, memory_order_relaxed)) /* stale: it is tried once more */
        return false;
    size = round_up(size, HUGE_PAGE);
    int fd = memory_file(HUGETLB_2MB, size);
    void *data = fd < 0 ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0); /* this sets the pages aside, or fails */
    if (data == MAP_FAILED) {
        if (fd >= 0)
            close(fd);
        atomic_store_explicit(&hugetlb_lacks, size, memory_order_relaxed); /* see there */
        return false;
    }
    region->data = data;
    region->mapped = size;
    region->fd = fd;
    region->backing = CSP_HUGETLB;
    return true;
}

/* In the place of pages that have no name, which the system has granted: a file may be larger than memory, and touching it then ends the
 * process. */
static void lay_file_over(csp_region *region)
{
    int fd = memory_file(0, region->mapped);
    if (fd < 0)
        return; /* no descriptor is free, say */
    if (mmap(region->data, region->mapped, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
        close(fd);
        return;
    }
    region->fd = fd;
    region->backing = CSP_FILE;
}

#else

static bool map_hugetlb(csp_region *region, size_t size) { return (void)region, (void)size, false; }
static void lay_file_over(csp_region *region) { (void)region; }

#endif

/* Pages of its own, all zero. */
static bool map_pages(csp_region *region, size_t size)
{
    if (csp_mem_fails() || size > SIZE_MAX / 2)
        return false;
    if (map_hugetlb(region, size))
        return true;
    size = round_up(size > 0 ? size : 1, (size_t)sysconf(_SC_PAGESIZE));
    void *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED)
        return false;
    region->data = data;
    region->mapped = size;
    region->backing = CSP_PAGES;
    if (!region->huge)
        lay_file_over(region);
#ifdef MADV_HUGEPAGE
    if (size >= HUGE_PAGE)
        madvise(data, size, MADV_HUGEPAGE); /* a wish: of files the system as a rule does not grant it */
#endif
    return true;
}

static void unmap(csp_region *region)
{
    UNPOISON(region);
    munmap(region->data, region->mapped);
    if (region->fd >= 0)
        close(region->fd);
}

#endif

/* --- those that are kept --- */

static void take_out_locked(csp_region **at)
{
    csp_region *region = *at;
    *at = region->next;
    pool.bytes -= region->mapped;
    pool.n--;
}

/* One that fits without much waste, the smallest; or NULL. */
static csp_region *take_kept(size_t size, bool huge)
{
    csp_region **best = NULL;
    csp_lock_acquire(&pool.lock);
    for (csp_region **at = &pool.newest; *at != NULL; at = &(*at)->next)
        if ((*at)->huge == huge && (*at)->mapped >= size && (*at)->mapped - size <= size / 4 + HUGE_PAGE &&
            (best == NULL || (*at)->mapped < (*best)->mapped))
            best = at;
    csp_region *region = best == NULL ? NULL : *best;
    if (region != NULL)
        take_out_locked(best);
    csp_lock_release(&pool.lock);
    if (region != NULL)
        UNPOISON(region);
    return region;
}

static void destroy(csp_region *region)
{
    if (region->block != NULL)
        csp_block_decref(region->block);
    else
        unmap(region);
    csp_raw_free(region);
}

static void destroy_chain(csp_region *region)
{
    while (region != NULL) {
        csp_region *next = region->next;
        destroy(region);
        region = next;
    }
}

/* Take the oldest out until the rest is within bounds; the caller destroys the chain, outside the lock. */
static csp_region *evict_locked(size_t most_bytes, uint32_t most)
{
    csp_region *out = NULL;
    while (pool.bytes > most_bytes || pool.n > most) {
        csp_region **at = &pool.newest;
        while ((*at)->next != NULL)
            at = &(*at)->next;
        csp_region *oldest = *at;
        take_out_locked(at);
        oldest->next = out;
        out = oldest;
    }
    return out;
}

static void keep(csp_region *region)
{
    POISON(region);
    csp_lock_acquire(&pool.lock);
    region->next = pool.newest;
    pool.newest = region;
    pool.bytes += region->mapped;
    pool.n++;
    csp_region *out = evict_locked(KEEP_BYTES, KEEP_REGIONS);
    csp_lock_release(&pool.lock);
    destroy_chain(out);
}

/* --- birth and death --- */

static csp_region *region_map(size_t size, bool zeroed, bool huge)
{
    csp_region *region = take_kept(size, huge);
    if (region != NULL) {
        if (zeroed)
            memset(region->data, 0, size);
        return region;
    }
    region = csp_raw_calloc(1, sizeof *region);
    if (region == NULL)
        return NULL;
    region->fd = -1;
    region->huge = huge;
    if (!map_pages(region, size)) {
        csp_raw_free(region);
        return NULL;
    }
    return region;
}

static csp_region *region_on_heap(size_t size, bool zeroed)
{
    csp_region *region = csp_raw_calloc(1, sizeof *region);
    csp_block *block = region == NULL ? NULL : csp_block_new(size);
    if (block == NULL) {
        csp_raw_free(region);
        return NULL;
    }
    region->block = block;
    region->data = block->data;
    region->fd = -1;
    if (zeroed)
        memset(region->data, 0, size);
    return region;
}

csp_region *csp_region_new(size_t size, bool zeroed, csp_placement placement)
{
    bool mapped = placement >= CSP_MAPPED || (placement == CSP_BY_SIZE && size >= CSP_MAPPED_FROM);
    csp_region *region = mapped ? region_map(size, zeroed, placement == CSP_HUGE) : region_on_heap(size, zeroed);
#ifdef _WIN32
    if (region == NULL)
        region = region_on_heap(size, zeroed);
#endif
    if (region == NULL)
        return NULL;
    region->size = size;
    region->pins = region->exports = 0;
    region->next = NULL;
    atomic_fetch_add_explicit(&nlive, 1, memory_order_relaxed);           /* see there */
    atomic_fetch_add_explicit(&live_bytes, size, memory_order_relaxed);   /* likewise */
    return region;
}

void csp_region_free(csp_region *region)
{
    if (region == NULL)
        return;
    atomic_fetch_sub_explicit(&nlive, 1, memory_order_relaxed); /* see there */
    atomic_fetch_sub_explicit(&live_bytes, region->size, memory_order_relaxed);
    if (region->mapped > 0 && region->mapped <= KEEP_BYTES)
        keep(region);
    else
        destroy(region);
}

csp_chan *csp_region_chan_new(csp_region *region)
{
    csp_sync *sync = csp_sync_new(0);
    if (sync == NULL) {
        csp_region_free(region);
        return NULL;
    }
    sync->region = region;
    csp_chan *chan = csp_sync_chan_new(CSP_MEMORY, sync);
    if (chan == NULL)
        csp_sync_free(sync);
    return chan;
}

/* --- exports and pins --- */

csp_region *csp_region_export(csp_end *end, bool pin)
{
    csp_chan_lock(end->chan);
    csp_region *region = end->chan->primitive->region;
    if (atomic_load_explicit(&end->closed, memory_order_relaxed)) /* set under the lock we hold */
        region = NULL;
    if (region != NULL) {
        region->exports++;
        region->pins += pin;
    }
    csp_chan_unlock(end->chan);
    return region;
}

void csp_region_unexport(csp_chan *chan)
{
    csp_chan_lock(chan);
    chan->primitive->region->exports--; /* the pin has kept it there */
    csp_chan_unlock(chan);
}

void csp_region_unpin(csp_chan *chan)
{
    csp_chan_lock(chan);
    chan->primitive->region->pins--;
    csp_region *region = csp_region_settle_locked(chan);
    csp_chan_unlock(chan);
    csp_region_free(region);
}

csp_region *csp_region_settle_locked(csp_chan *chan)
{
    CSP_ASSERT_HELD(&chan->lock);
    csp_region *region = chan->primitive->region;
    if (region == NULL || chan->receivers > 0 || region->pins > 0)
        return NULL;
    chan->primitive->region = NULL;
    return region;
}

/* --- looking --- */

long csp_regions_live(void) { return atomic_load_explicit(&nlive, memory_order_relaxed); /* see there */ }
size_t csp_regions_bytes(void) { return atomic_load_explicit(&live_bytes, memory_order_relaxed); /* likewise */ }

size_t csp_regions_kept(void)
{
    csp_lock_acquire(&pool.lock);
    size_t bytes = pool.bytes;
    csp_lock_release(&pool.lock);
    return bytes;
}

void csp_regions_trim(void)
{
    csp_lock_acquire(&pool.lock);
    csp_region *out = evict_locked(0, 0);
    csp_lock_release(&pool.lock);
    destroy_chain(out);
}

void csp_regions_after_fork(void)
{
    /* Their pages are the parent's too: files are shared, not copied.  The descriptors stay open until an exec. */
    csp_lock_init(&pool.lock, CSP_RANK_POOL, 0);
    pool.newest = NULL;
    pool.bytes = 0;
    pool.n = 0;
}
