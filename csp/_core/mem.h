/* RAW memory: the process heap.
 *
 * Two domains of memory exist, and every pointer that outlives a call says which one it is in:
 *   RAW         process heap, from here.  Any thread of any interpreter may free it; no thread state needed.
 *   OBJ(owner)  a Python object.  Touched only with a thread state of its owner attached.
 * A value in flight is RAW only (but for the values of a local channel, which never leaves its interpreter).
 *
 * This is plain malloc and not PyMem_Raw*: under tracemalloc the latter waits for a GIL, and the engine
 * allocates queue segments with a channel lock held (law L1: no lock is held while waiting to attach).
 *
 * Fault injection: csp_mem_fail_after(n) makes the n-th allocation from now fail, once (0: never).  It counts
 * in the calling thread only, so a test can fail each allocation of one operation in turn.
 */
#ifndef CSP_MEM_H
#define CSP_MEM_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

extern _Thread_local long csp_mem_countdown; /* this thread only; defined in lock.c */

static inline void csp_mem_fail_after(long n) { csp_mem_countdown = n; }

static inline int csp_mem_fails(void)
{
    return csp_mem_countdown > 0 && --csp_mem_countdown == 0;
}

static inline void *csp_raw_alloc(size_t size)
{
    return csp_mem_fails() ? NULL : malloc(size ? size : 1);
}

static inline void *csp_raw_calloc(size_t count, size_t size)
{
    return csp_mem_fails() ? NULL : calloc(count ? count : 1, size ? size : 1);
}

static inline void *csp_raw_realloc(void *block, size_t size)
{
    return csp_mem_fails() ? NULL : realloc(block, size ? size : 1);
}

static inline void csp_raw_free(void *block) { free(block); }

/* Memory that begins on a cache line, for what two cores pass to and fro.  Freed by csp_raw_free_line only. */
#define CSP_LINE 64

static inline void *csp_raw_alloc_line(size_t size)
{
    unsigned char *base = csp_raw_alloc(size + CSP_LINE + sizeof base);
    if (base == NULL)
        return NULL;
    unsigned char *line = base + sizeof base;
    line += CSP_LINE - 1 - ((uintptr_t)line + CSP_LINE - 1) % CSP_LINE;
    memcpy(line - sizeof base, &base, sizeof base);
    return line;
}

static inline void csp_raw_free_line(void *line)
{
    unsigned char *base = NULL;
    if (line != NULL)
        memcpy(&base, (unsigned char *)line - sizeof base, sizeof base);
    free(base);
}

#endif
