/* Messages, blobs and blocks, and the pool their memory comes from.
 *
 * The pool keeps freed memory in free lists by size class.  Two kinds of classes:
 *   small  256 bytes to 64 KiB, powers of two, each with its own lock and list: a sender takes what the receiver's thread
 *          has given back, without the allocator, which is slow for memory that is made in one thread and freed in another;
 *   big    beyond that, four classes a doubling, all under one lock, in one list by age.  Their pages are warm, which is
 *          what they are kept for (fresh ones cost ten times as much to fill).  At most BIG_KEEP bytes are kept, the oldest
 *          go first, and of those that are larger than BIG_KEEP by themselves the newest one.
 *
 * Memory of one class serves blobs and blocks alike: a free chunk is laid over their headers.
 */
#include "msg.h"

#include "lock.h"
#include "mem.h"

#define SMALL_CLASSES 9
#define SMALL_FIRST ((size_t)256)
#define SMALL_LAST (SMALL_FIRST << (SMALL_CLASSES - 1))
#define SMALL_KEEP ((size_t)1 << 20) /* bytes kept a class */

#define BIG_FIRST_LOG 16 /* the smallest big class is 5/4 of 64 KiB */
#define BIG_LAST_LOG 46
#define BIG_CLASSES ((BIG_LAST_LOG - BIG_FIRST_LOG) * 4)
#define BIG_SLACK 64     /* a class holds its round number of bytes and a header */
#define BIG_KEEP ((size_t)64 << 20)

enum { LIVE_BLOBS, LIVE_BLOCKS };

/* A piece of memory in the pool. */
typedef struct chunk {
    struct chunk *next, *prev;    /* guarded by the lock of its class: the same class, newest first */
    struct chunk *older, *newer;  /* guarded by big.lock: all big ones by age */
    uint32_t pool_class;          /* immutable while pooled */
} chunk;

_Static_assert(sizeof(chunk) <= offsetof(csp_blob, data) && sizeof(chunk) <= offsetof(csp_block, data),
               "a free chunk fits in the headers it lies over");

typedef struct {
    _Alignas(64) csp_lock lock; /* rank POOL */
    chunk *free;                /* guarded by lock */
    size_t kept;                /* guarded by lock: chunks in `free` */
    long live[2];               /* guarded by lock: blobs and blocks of this class outside the pool */
} small_class;

#define SMALL {.lock = CSP_LOCK_INIT(POOL)}
static small_class small[SMALL_CLASSES] = {SMALL, SMALL, SMALL, SMALL, SMALL, SMALL, SMALL, SMALL, SMALL}; /* process-wide */

static struct {
    _Alignas(64) csp_lock lock; /* rank POOL */
    chunk *free[BIG_CLASSES];   /* guarded by lock */
    chunk *newest, *oldest;     /* guarded by lock: without the giant */
    chunk *giant;               /* guarded by lock: one larger than BIG_KEEP, or NULL */
    size_t bytes;               /* guarded by lock: in the lists, without the giant */
    long live[2];               /* guarded by lock */
} big = {.lock = CSP_LOCK_INIT(POOL)}; /* process-wide */

static _Atomic long nlaid; /* process-wide; relaxed: for the census only.  Blocks whose memory is not the pool's */

/* --- classes --- */

static uint32_t log2_floor(size_t n) { return 63u - (uint32_t)__builtin_clzll((unsigned long long)n); }

/* The class of an allocation of `size` bytes, header included, and the bytes it really gets; false: too large. */
static bool classify(size_t size, uint32_t *p_class, size_t *p_bytes)
{
    if (size <= SMALL_LAST) {
        uint32_t class = size <= SMALL_FIRST ? 0 : log2_floor(size - 1) + 1 - log2_floor(SMALL_FIRST);
        *p_class = class;
        *p_bytes = SMALL_FIRST << class;
        return true;
    }
    size_t n = size - BIG_SLACK - 1;
    if (n < (size_t)1 << BIG_FIRST_LOG)
        n = (size_t)1 << BIG_FIRST_LOG;
    uint32_t log = log2_floor(n), quarter = (uint32_t)(n >> (log - 2)) & 3;
    if (log >= BIG_LAST_LOG)
        return false;
    *p_class = SMALL_CLASSES + (log - BIG_FIRST_LOG) * 4 + quarter;
    *p_bytes = ((size_t)(5 + quarter) << (log - 2)) + BIG_SLACK;
    return true;
}

static size_t class_bytes(uint32_t class)
{
    if (class < SMALL_CLASSES)
        return SMALL_FIRST << class;
    uint32_t step = class - SMALL_CLASSES;
    return ((size_t)(5 + step % 4) << (step / 4 + BIG_FIRST_LOG - 2)) + BIG_SLACK;
}

/* --- the pool --- */

static void big_unlink_locked(chunk *c)
{
    if (c == big.giant) {
        big.giant = NULL;
        return;
    }
    *(c->prev != NULL ? &c->prev->next : &big.free[c->pool_class - SMALL_CLASSES]) = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    *(c->newer != NULL ? &c->newer->older : &big.newest) = c->older;
    *(c->older != NULL ? &c->older->newer : &big.oldest) = c->newer;
    big.bytes -= class_bytes(c->pool_class);
}

static chunk *big_take(uint32_t class, int kind)
{
    csp_lock_acquire(&big.lock);
    chunk *c = big.free[class - SMALL_CLASSES];
    if (c == NULL && big.giant != NULL && big.giant->pool_class == class)
        c = big.giant;
    if (c != NULL)
        big_unlink_locked(c);
    big.live[kind]++;
    csp_lock_release(&big.lock);
    return c;
}

static void big_link_locked(chunk *c)
{
    chunk **list = &big.free[c->pool_class - SMALL_CLASSES];
    c->prev = NULL;
    c->next = *list;
    if (c->next != NULL)
        c->next->prev = c;
    *list = c;
    c->newer = NULL;
    c->older = big.newest;
    *(big.newest != NULL ? &big.newest->newer : &big.oldest) = c;
    big.newest = c;
    big.bytes += class_bytes(c->pool_class);
}

static void free_chain(chunk *c)
{
    while (c != NULL) {
        chunk *next = c->next;
        csp_raw_free(c);
        c = next;
    }
}

/* Take the oldest out until at most `limit` bytes are kept; the caller frees the chain, outside the lock. */
static chunk *big_evict_locked(size_t limit)
{
    chunk *out = NULL;
    while (big.bytes > limit) {
        chunk *c = big.oldest;
        big_unlink_locked(c);
        c->next = out;
        out = c;
    }
    return out;
}

static void big_give(chunk *c, uint32_t class, int kind)
{
    chunk *out = NULL;
    c->pool_class = class;
    csp_lock_acquire(&big.lock);
    big.live[kind]--;
    if (class_bytes(class) > BIG_KEEP) {
        out = big.giant;
        if (out != NULL)
            out->next = NULL;
        big.giant = c;
    }
    else {
        big_link_locked(c);
        out = big_evict_locked(BIG_KEEP);
    }
    csp_lock_release(&big.lock);
    free_chain(out);
}

static chunk *small_take(uint32_t class, int kind)
{
    small_class *pool = &small[class];
    csp_lock_acquire(&pool->lock);
    chunk *c = pool->free;
    if (c != NULL) {
        pool->free = c->next;
        pool->kept--;
    }
    pool->live[kind]++;
    csp_lock_release(&pool->lock);
    return c;
}

static void small_give(chunk *c, uint32_t class, int kind)
{
    small_class *pool = &small[class];
    csp_lock_acquire(&pool->lock);
    pool->live[kind]--;
    bool keep = (pool->kept + 1) * class_bytes(class) <= SMALL_KEEP;
    if (keep) {
        c->next = pool->free;
        pool->free = c;
        pool->kept++;
    }
    csp_lock_release(&pool->lock);
    if (!keep)
        csp_raw_free(c);
}

static void uncount(uint32_t class, int kind)
{
    csp_lock *lock = class < SMALL_CLASSES ? &small[class].lock : &big.lock;
    csp_lock_acquire(lock);
    (class < SMALL_CLASSES ? small[class].live : big.live)[kind]--;
    csp_lock_release(lock);
}

/* Memory of at least `size` bytes and what is known of it; NULL without memory. */
static void *pool_take(size_t size, int kind, uint32_t *p_class, size_t *p_bytes)
{
    if (csp_mem_fails() || !classify(size, p_class, p_bytes)) /* also what the pool has may be made to fail */
        return NULL;
    chunk *c = *p_class < SMALL_CLASSES ? small_take(*p_class, kind) : big_take(*p_class, kind);
    if (c == NULL && (c = malloc(*p_bytes)) == NULL)
        uncount(*p_class, kind);
    return c;
}

static void pool_give(void *memory, uint32_t class, int kind)
{
    if (class < SMALL_CLASSES)
        small_give(memory, class, kind);
    else
        big_give(memory, class, kind);
}

size_t csp_pool_bytes(void)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < SMALL_CLASSES; i++) {
        csp_lock_acquire(&small[i].lock);
        bytes += small[i].kept * class_bytes(i);
        csp_lock_release(&small[i].lock);
    }
    csp_lock_acquire(&big.lock);
    bytes += big.bytes + (big.giant != NULL ? class_bytes(big.giant->pool_class) : 0);
    csp_lock_release(&big.lock);
    return bytes;
}

void csp_pool_trim(void)
{
    for (uint32_t i = 0; i < SMALL_CLASSES; i++) {
        csp_lock_acquire(&small[i].lock);
        chunk *out = small[i].free;
        small[i].free = NULL;
        small[i].kept = 0;
        csp_lock_release(&small[i].lock);
        free_chain(out);
    }
    csp_lock_acquire(&big.lock);
    chunk *out = big_evict_locked(0), *giant = big.giant;
    big.giant = NULL;
    csp_lock_release(&big.lock);
    free_chain(out);
    csp_raw_free(giant);
}

void csp_pool_after_fork(void)
{
    /* A thread that is no more may have been inside: the lists are not to be trusted.  What they kept is lost. */
    for (uint32_t i = 0; i < SMALL_CLASSES; i++) {
        csp_lock_init(&small[i].lock, CSP_RANK_POOL, 0);
        small[i].free = NULL;
        small[i].kept = 0;
    }
    csp_lock_init(&big.lock, CSP_RANK_POOL, 0);
    memset(big.free, 0, sizeof big.free);
    big.newest = big.oldest = big.giant = NULL;
    big.bytes = 0;
}

static long live(int kind)
{
    long n = 0;
    for (uint32_t i = 0; i < SMALL_CLASSES; i++) {
        csp_lock_acquire(&small[i].lock);
        n += small[i].live[kind];
        csp_lock_release(&small[i].lock);
    }
    csp_lock_acquire(&big.lock);
    n += big.live[kind];
    csp_lock_release(&big.lock);
    return n;
}

long csp_blobs_live(void) { return live(LIVE_BLOBS); }
long csp_blocks_live(void) { return live(LIVE_BLOCKS) + atomic_load_explicit(&nlaid, memory_order_relaxed); } /* see there */

/* --- blobs --- */

csp_blob *csp_blob_new(size_t capacity)
{
    uint32_t class;
    size_t bytes;
    if (capacity > SIZE_MAX / 2)
        return NULL;
    csp_blob *blob = pool_take(offsetof(csp_blob, data) + capacity, LIVE_BLOBS, &class, &bytes);
    if (blob == NULL)
        return NULL;
    blob->length = 0;
    blob->bytes = 1;
    blob->capacity = bytes - offsetof(csp_blob, data);
    blob->parts = NULL;
    blob->nparts = blob->parts_room = 0;
    blob->pool_class = class;
    return blob;
}

csp_blob *csp_blob_grow(csp_blob *blob, size_t capacity)
{
    if (capacity <= blob->capacity)
        return blob;
    size_t half_more = blob->capacity + blob->capacity / 2; /* so that growing byte by byte stays linear */
    csp_blob *larger = csp_blob_new(capacity > half_more ? capacity : half_more);
    if (larger == NULL)
        return NULL;
    memcpy(larger->data, blob->data, blob->capacity); /* all of it: the writer may not have set `length` yet */
    larger->length = blob->length;
    larger->parts = blob->parts;
    larger->nparts = blob->nparts;
    larger->parts_room = blob->parts_room;
    pool_give(blob, blob->pool_class, LIVE_BLOBS);
    return larger;
}

bool csp_blob_add_part(csp_blob *blob, const csp_part_ops *ops, void *self, size_t extra, uint32_t *p_index)
{
    if (blob->nparts == blob->parts_room) {
        if (blob->parts_room > UINT32_MAX / 2)
            return false;
        uint32_t room = blob->parts_room ? blob->parts_room * 2 : 4;
        csp_part *parts = csp_raw_realloc(blob->parts, room * sizeof *parts);
        if (parts == NULL)
            return false;
        blob->parts = parts;
        blob->parts_room = room;
    }
    *p_index = blob->nparts;
    blob->parts[blob->nparts++] = (csp_part){ops, self, extra};
    return true;
}

void csp_blob_weigh(csp_blob *blob, size_t head)
{
    size_t bytes = blob->length > head ? blob->length - head : 0;
    for (uint32_t i = 0; i < blob->nparts; i++) {
        const csp_part *part = &blob->parts[i];
        if (part->ops == &csp_block_part)
            bytes += ((const csp_block *)part->self)->size;
        else if (part->ops == &csp_msg_part)
            bytes += csp_msg_bytes(part->self);
    }
    blob->bytes = bytes > 0 ? bytes : 1;
}

static void release_parts(csp_blob *blob)
{
    for (uint32_t i = 0; i < blob->nparts; i++)
        blob->parts[i].ops->release(blob->parts[i].self);
    csp_raw_free(blob->parts);
    pool_give(blob, blob->pool_class, LIVE_BLOBS);
}

/* Blobs that came up while the parts of one were being released: a channel in a message holds messages that hold
 * channels.  They wait here for the outermost call, so that the depth of that is not the depth of the C stack. */
static _Thread_local csp_blob *postponed; /* process-wide in kind, one a thread */
static _Thread_local bool releasing;      /* likewise */

void csp_blob_free(csp_blob *blob)
{
    if (blob->nparts == 0) {
        csp_raw_free(blob->parts);
        pool_give(blob, blob->pool_class, LIVE_BLOBS);
        return;
    }
    if (releasing) {
        blob->next_free = postponed;
        postponed = blob;
        return;
    }
    releasing = true;
    while (blob != NULL) {
        release_parts(blob);
        blob = postponed;
        if (blob != NULL)
            postponed = blob->next_free;
    }
    releasing = false;
}

void csp_blob_unsend(csp_blob *blob)
{
    for (uint32_t i = 0; i < blob->nparts; i++)
        if (blob->parts[i].ops->unsend != NULL)
            blob->parts[i].ops->unsend(blob->parts[i].self);
    csp_blob_free(blob);
}

/* --- blocks --- */

csp_block *csp_block_new(size_t size)
{
    uint32_t class;
    size_t bytes;
    if (size > SIZE_MAX / 2)
        return NULL;
    csp_block *block = pool_take(offsetof(csp_block, data) + size, LIVE_BLOCKS, &class, &bytes);
    if (block == NULL)
        return NULL;
    atomic_init(&block->refs, 1);
    block->pool_class = class;
    block->size = size;
    block->reclaim = NULL;
    return block;
}

csp_block *csp_block_lay(unsigned char *data, size_t size, void (*reclaim)(csp_block *block), void *owner)
{
    csp_block *block = (csp_block *)(void *)(data - offsetof(csp_block, data));
    atomic_init(&block->refs, 1);
    block->pool_class = 0;
    block->size = size;
    block->reclaim = reclaim;
    block->owner = owner;
    atomic_fetch_add_explicit(&nlaid, 1, memory_order_relaxed); /* see there */
    return block;
}

void csp_block_incref(csp_block *block)
{
    atomic_fetch_add_explicit(&block->refs, 1, memory_order_relaxed); /* the caller has one: nothing to order */
}

void csp_block_decref(csp_block *block)
{
    /* Release our accesses to, and acquire those of, whoever drops the last one: the memory is written again. */
    if (atomic_fetch_sub_explicit(&block->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (block->reclaim == NULL) {
        pool_give(block, block->pool_class, LIVE_BLOCKS);
        return;
    }
    atomic_fetch_sub_explicit(&nlaid, 1, memory_order_relaxed); /* see there */
    block->reclaim(block);
}

static void block_part_release(void *self) { csp_block_decref(self); }

static void *block_part_clone(void *self)
{
    const csp_block *block = self;
    if (csp_block_is_laid(block)) { /* see there */
        csp_block *copy = csp_block_new(block->size);
        return copy == NULL ? NULL : (memcpy(copy->data, block->data, block->size), copy);
    }
    csp_block_incref(self);
    return self;
}

const csp_part_ops csp_block_part = {"block", block_part_release, block_part_clone, NULL};

/* --- messages --- */

void (*_Atomic csp_msg_drop_object)(void *object); /* process-wide; see msg.h */

void csp_msg_clear_slow(csp_msg *msg)
{
    if (msg->kind == CSP_MSG_BLOB)
        csp_blob_free(msg->as.blob);
    else if (msg->kind == CSP_MSG_OBJECT)
        atomic_load_explicit(&csp_msg_drop_object, memory_order_relaxed)(msg->as.object); /* see msg.h */
    msg->kind = CSP_MSG_EMPTY;
}

void csp_msg_unsend(csp_msg *msg)
{
    if (msg->kind != CSP_MSG_BLOB) {
        csp_msg_clear(msg);
        return;
    }
    csp_blob_unsend(msg->as.blob);
    msg->kind = CSP_MSG_EMPTY;
}

static csp_blob *blob_clone(const csp_blob *blob)
{
    csp_blob *copy = csp_blob_new(blob->length);
    if (copy == NULL)
        return NULL;
    memcpy(copy->data, blob->data, blob->length);
    copy->length = blob->length;
    copy->bytes = blob->bytes;
    for (uint32_t i = 0; i < blob->nparts; i++) {
        const csp_part *part = &blob->parts[i];
        uint32_t index;
        void *self = part->ops->clone(part->self);
        if (self == NULL || !csp_blob_add_part(copy, part->ops, self, part->extra, &index)) {
            if (self != NULL)
                part->ops->release(self);
            csp_blob_free(copy);
            return NULL;
        }
    }
    return copy;
}

bool csp_msg_clone(csp_msg *to, const csp_msg *from)
{
    *to = *from;
    if (from->kind != CSP_MSG_BLOB)
        return true;
    if ((to->as.blob = blob_clone(from->as.blob)) != NULL)
        return true;
    to->kind = CSP_MSG_EMPTY;
    return false;
}

/* --- a message as a part of another --- */

static void msg_part_release(void *self)
{
    csp_msg_clear(self);
    csp_raw_free(self);
}

static void *msg_part_clone(void *self)
{
    csp_msg *copy = csp_raw_calloc(1, sizeof *copy);
    if (copy != NULL && !csp_msg_clone(copy, self)) {
        csp_raw_free(copy);
        return NULL;
    }
    return copy;
}

const csp_part_ops csp_msg_part = {"message", msg_part_release, msg_part_clone, NULL};
