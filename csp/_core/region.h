/* Memory of no interpreter: what a SharedBuffer is a handle to.
 *
 * A csp_region is RAW: a piece of the heap (a csp_block), or pages of its own, as a rule in a memory file, which can be passed to a process.
 * It lies in the `primitive` of a channel that nothing is sent on (kind CSP_MEMORY), so that handles to it are channel ends: counted over
 * all interpreters and messages in flight, closed with their owner (law L6), foreign after a fork.
 *
 * Two things keep the memory: an open handle, and a pin.  The object that is a handle takes one when it first exports a buffer, and keeps
 * it until it is gone itself: whoever has a buffer has the object, also numpy.ndarray(buffer=...), which gives the buffer back at once
 * and uses the memory as long as it has the object.  So a handle may be closed, with its killed owner say, while that owner's C code
 * still writes.
 *
 * Mapped regions that are freed are kept for the next one, as long as they are few: their pages are warm, and fresh ones cost five times
 * as much to fill.
 */
#ifndef CSP_REGION_H
#define CSP_REGION_H

#include "chan.h"
#include "msg.h"

typedef enum {
    CSP_HEAP = 0, /* in a csp_block */
    CSP_FILE,     /* a memory file of its own: `fd` */
    CSP_PAGES,    /* pages that have no name: the system had no file for us, or only so gives large ones */
    CSP_HUGETLB   /* a memory file of pages that the administrator has set aside */
} csp_backing;

typedef enum { CSP_BY_SIZE = 0, CSP_UNMAPPED, CSP_MAPPED, CSP_HUGE } csp_placement; /* what is asked for */

#define CSP_MAPPED_FROM ((size_t)1 << 20) /* CSP_BY_SIZE: bytes from which on a region is mapped */

typedef struct csp_region {
    unsigned char *data;     /* immutable */
    size_t size;             /* immutable while in use: bytes asked for */
    size_t mapped;           /* immutable: bytes mapped; 0 on the heap */
    csp_block *block;        /* immutable: CSP_HEAP */
    int fd;                  /* immutable: CSP_FILE, CSP_HUGETLB; else -1 */
    csp_backing backing;     /* immutable */
    bool huge;               /* immutable: CSP_HUGE was asked for */
    size_t pins;             /* guarded by the lock of its channel: objects that have exported it */
    size_t exports;          /* guarded likewise, for statistics: buffers out, over all interpreters */
    struct csp_region *next; /* guarded by the pool's lock while it is kept there */
} csp_region;

/* Memory for `size` bytes (0 is fine), zero if so asked, else whatever an earlier region left.  NULL without memory. */
csp_region *csp_region_new(size_t size, bool zeroed, csp_placement placement);
void csp_region_free(csp_region *region); /* nobody uses the memory any more; NULL is fine.  No lock held but of rank below POOL */

/* The channel that counts its handles; takes over the region, also on failure.  NULL without memory. */
csp_chan *csp_region_chan_new(csp_region *region);

/* An export through this handle, which is pinned before if `pin`.  NULL: the handle is closed. */
csp_region *csp_region_export(csp_end *end, bool pin);
void csp_region_unexport(csp_chan *chan);
void csp_region_unpin(csp_chan *chan);
/* With chan->lock: the region, if neither an open handle nor a pin is left; the caller frees it after unlocking. */
csp_region *csp_region_settle_locked(csp_chan *chan);

/* For statistics and leak tests: regions in use and their bytes; bytes kept for reuse. */
long csp_regions_live(void);
size_t csp_regions_bytes(void);
size_t csp_regions_kept(void);
void csp_regions_trim(void);
void csp_regions_after_fork(void); /* in the child, by the registry */

#endif
