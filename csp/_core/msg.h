/* An owned value in flight.
 *
 * A csp_msg is moved, never copied: whoever takes it out of a channel owns it (law L5) and clears it, once.
 * Small values lie inside it; larger ones in one blob, which owns an encoding and the parts that could not be
 * flattened: channel ends, blocks of memory.  Everything is RAW, but for CSP_MSG_OBJECT (a local channel's value).
 *
 * This room knows nothing of Python, of channels, or of what an encoding says (codec.h does).
 */
#ifndef CSP_MSG_H
#define CSP_MSG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CSP_MSG_INLINE 56 /* bytes of encoding that need no blob */

typedef enum {
    CSP_MSG_EMPTY = 0, /* nothing: moved away or cleared */
    CSP_MSG_NONE, CSP_MSG_TRUE, CSP_MSG_FALSE,
    CSP_MSG_INT,    /* as.integer */
    CSP_MSG_FLOAT,  /* as.real, payload kept bit by bit */
    CSP_MSG_SHORT,  /* an encoding of `length` bytes, in place */
    CSP_MSG_BLOB,   /* as.blob, owned */
    CSP_MSG_OBJECT, /* as.object: OBJ(owner of the local channel); cleared with that interpreter attached */
} csp_msg_kind;

/* Something an encoding refers to by index.  `ops` is a static table of the room that owns the kind. */
typedef struct {
    const char *name;
    void (*release)(void *self); /* give up the blob's reference; no lock held, no thread state needed */
    void *(*clone)(void *self);  /* one more reference, for a second blob; NULL: no memory */
    void (*unsend)(void *self);  /* may be NULL.  The message was not sent and will be freed: what it has taken from its sender goes back */
} csp_part_ops;

typedef struct {
    const csp_part_ops *ops;
    void *self;   /* RAW, counted; the blob holds one reference */
    size_t extra; /* of the kind: flags, a size */
} csp_part;

typedef struct csp_blob {
    size_t length;    /* bytes of the encoding in use */
    size_t capacity;  /* bytes at `data` */
    csp_part *parts;  /* RAW array or NULL; owner of the blob only */
    uint32_t nparts, parts_room;
    union {
        size_t bytes;               /* while it is in use: what it counts for, once csp_blob_weigh has said so */
        struct csp_blob *next_free; /* the freeing thread only: those that it has yet to free */
    };
    uint32_t pool_class;        /* immutable: where its memory goes back to */
    _Alignas(16) unsigned char data[];
} csp_blob;

typedef struct {
    uint8_t kind;        /* csp_msg_kind */
    uint8_t length;      /* CSP_MSG_SHORT: bytes in use */
    uint16_t deliveries; /* how often a lease has handed it out */
    uint32_t spare;
    union {
        int64_t integer;
        double real;
        csp_blob *blob;
        void *object;
        unsigned char bytes[CSP_MSG_INLINE];
    } as;
} csp_msg;

_Static_assert(sizeof(csp_msg) == 64, "a message in a buffer is one cache line");

static inline void csp_msg_move(csp_msg *to, csp_msg *from)
{
    if (from->kind == CSP_MSG_SHORT)
        *to = *from;
    else /* one word says it all */
        memcpy(to, from, offsetof(csp_msg, as) + sizeof(int64_t));
    from->kind = CSP_MSG_EMPTY;
}

/* Free what the message owns and leave it empty.  No lock held.  An empty one is fine. */
void csp_msg_clear_slow(csp_msg *msg);
static inline void csp_msg_clear(csp_msg *msg)
{
    if (msg->kind >= CSP_MSG_BLOB)
        csp_msg_clear_slow(msg);
    msg->kind = CSP_MSG_EMPTY;
}

/* The same, for one that was not sent and never will be: things that were moved into it are their sender's again. */
void csp_msg_unsend(csp_msg *msg);

/* An encoding begins with a tag and, if it is that short, one byte of size: they are no content. */
#define CSP_MSG_HEAD 2

/* What the message counts for in a channel bounded by bytes: its content, at least 1. */
static inline size_t csp_msg_bytes(const csp_msg *msg)
{
    switch (msg->kind) {
    case CSP_MSG_INT:
    case CSP_MSG_FLOAT: return sizeof(int64_t);
    case CSP_MSG_SHORT: return msg->length > CSP_MSG_HEAD ? msg->length - CSP_MSG_HEAD : 1;
    case CSP_MSG_BLOB: return msg->as.blob->bytes;
    default: return 1;
    }
}

/* A second message that says the same.  Not for CSP_MSG_OBJECT.  false: no memory, `to` is empty then. */
bool csp_msg_clone(csp_msg *to, const csp_msg *from);

/* How to drop the object of a CSP_MSG_OBJECT: installed by the shell (Py_DECREF), in each interpreter the same.  Relaxed: whoever has
 * such a message got it from an interpreter that had installed it. */
extern void (*_Atomic csp_msg_drop_object)(void *object);

/* A blob with room for `capacity` bytes, from the pool if one fits; NULL without memory. */
csp_blob *csp_blob_new(size_t capacity);
/* More room; contents kept.  The blob may move.  NULL without memory, the old one is still valid then. */
csp_blob *csp_blob_grow(csp_blob *blob, size_t capacity);
/* Add a part, taking over the caller's reference on success.  Its index goes to *p_index.  false: no memory. */
bool csp_blob_add_part(csp_blob *blob, const csp_part_ops *ops, void *self, size_t extra, uint32_t *p_index);
/* The encoding is complete: it counts for its bytes but the first `head`, its blocks of memory, and the messages in it; other
 * parts stand for memory that is there anyway. */
void csp_blob_weigh(csp_blob *blob, size_t head);
/* Release the parts and return the memory to the pool; the second one before they were sent. */
void csp_blob_free(csp_blob *blob);
void csp_blob_unsend(csp_blob *blob);
/* A message as a part of another; part.self is a csp_msg* of csp_raw_alloc(). */
extern const csp_part_ops csp_msg_part;

/* A counted block of RAW memory: the copy of an out-of-band buffer.  Pooled by size, since fresh pages cost
 * ten times warm ones. */
typedef struct csp_block {
    _Atomic uint32_t refs;       /* acquire-release in decref */
    uint32_t pool_class;         /* immutable: where its memory goes back to */
    size_t size;                 /* immutable until the block is recycled: bytes asked for */
    void (*reclaim)(struct csp_block *block); /* immutable: of memory that is not the pool's, what ends its use; else NULL */
    void *owner;                 /* immutable: RAW, for `reclaim` */
    unsigned char room[48 - 2 * sizeof(size_t) - 2 * sizeof(void *)]; /* a free chunk of the pool is laid over the header: msg.c */
    _Alignas(16) unsigned char data[];
} csp_block;

csp_block *csp_block_new(size_t size); /* refs = 1; NULL without memory */
/* A block whose data are `data`, 16 bytes aligned, with room for a header before them; with the last reference goes reclaim(block). */
csp_block *csp_block_lay(unsigned char *data, size_t size, void (*reclaim)(csp_block *block), void *owner);
/* Whether its memory is not the pool's.  Then one message at most has it; whoever else has a reference is done with the bytes. */
static inline bool csp_block_is_laid(const csp_block *block) { return block->reclaim != NULL; }
void csp_block_incref(csp_block *block);
void csp_block_decref(csp_block *block);
extern const csp_part_ops csp_block_part; /* part.self is a csp_block* */

/* Bytes now kept in the free lists, for statistics and leak tests; csp_pool_trim gives them back. */
size_t csp_pool_bytes(void);
void csp_pool_trim(void);
/* In the child of a fork, once, by the registry: new locks, empty lists. */
void csp_pool_after_fork(void);

/* Live messages' blobs and blocks outside the pool: zero when nothing is in flight (leak tests). */
long csp_blobs_live(void);
long csp_blocks_live(void);

#endif
