/* Memory that two processes have mapped, in which big values travel between them: one copy into it, none out of it.
 *
 * A slab is a memory file.  The process that made it fills it and sends its number; the other one, which got the file once, makes a
 * csp_block of what is in it, and says through the file itself when that is gone: then the slab is the first one's again, to fill
 * once more, with its pages warm and mapped on both sides.  Neither waits for the other, and what one has of a slab outlives the other.
 *
 *     | a page of our own, the header of the block at its end | the file: the data ... the mark |
 *
 * So a block stands on a slab as on any memory, and the other process, whatever it does to the file, reaches no pointer of ours.
 */
#ifndef CSP_SLAB_H
#define CSP_SLAB_H

#include "msg.h"

typedef struct csp_slab {
    _Atomic uint32_t refs;  /* acquire-release in decref */
    _Atomic bool out;       /* a block stands on it here; release in its reclaim, acquire in csp_slab_block */
    _Atomic bool idle;      /* it counts as idle here, written by who changes the count: see csp_slab_block */
    unsigned char *base;    /* immutable: our page; NULL while there is none */
    size_t page;            /* immutable: bytes of it */
    size_t mapped;          /* immutable: bytes of the file */
    size_t size;            /* immutable: of them, bytes for data */
    long process;           /* immutable: whose mapping it is: a child of a fork has it too */
} csp_slab;

/* For at least `size` bytes; the file's descriptor, which is the caller's, goes to *p_fd.  NULL: no memory, or no such files here. */
csp_slab *csp_slab_new(size_t size, int *p_fd);
/* Of a file of the other process; the descriptor stays the caller's.  NULL: it is no slab, or there is no memory. */
csp_slab *csp_slab_of(int fd);
void csp_slab_decref(csp_slab *slab);

static inline unsigned char *csp_slab_data(csp_slab *slab) { return slab->base + slab->page; }

/* Of the process that fills it: take it, if the other one is done with it; give it back unsent. */
bool csp_slab_claim(csp_slab *slab);
void csp_slab_unclaim(csp_slab *slab);
/* Of the other one: a block of the first `length` bytes.  NULL: there are not as many, or the last one is still in use. */
csp_block *csp_slab_block(csp_slab *slab, size_t length);

/* Bytes of slabs that were filled by others and are kept warm, and of all mapped ones: for tests. */
size_t csp_slabs_idle(void);
long csp_slabs_live(void);

#endif
