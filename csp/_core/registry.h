/* Process-wide tables: live channels and live interpreters, for statistics, debugging, leak tests, and fork.
 * Everything static that the C core has is here or in interp.c, lock.c, msg.c and actor.c, each marked process-wide.
 */
#ifndef CSP_REGISTRY_H
#define CSP_REGISTRY_H

#include "interp.h"

void csp_registry_add_chan(csp_chan *chan); /* gives it its id, and the lock that goes by it */
void csp_registry_remove_chan(csp_chan *chan);
void csp_registry_add_interp(csp_interp *interp);
void csp_registry_remove_interp(csp_interp *interp);

typedef struct {
    long channels, interpreters, blobs, blocks, buffers;
    size_t buffer_bytes;
} csp_census;
void csp_registry_count_idle(int change); /* of channels that are kept for reuse: the census leaves them out */
void csp_registry_census(csp_census *p_census);

/* All live interpreters' records, or channels, each with a new reference, in a RAW array to be freed; NULL without memory. */
csp_interp **csp_registry_interps(uint32_t *p_count);
csp_chan **csp_registry_chans(uint32_t *p_count);

/* In the child of a fork: only this thread is left and any lock may be held by one that is not.  Marks every handle made
 * so far as foreign (CSP_FORKED) and makes the process-wide locks new.  Installed once with pthread_atfork. */
void csp_registry_install_fork_handler(void);

#endif
