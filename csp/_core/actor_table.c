/* Which actors there are: the table of names, the list of records, the number of lives, the dead letters. */
#include <stdio.h>

#include "actor.h"

#ifndef _WIN32
#include <pthread.h>
#endif

#include "mem.h"

#define NAME_BUCKETS 1024 /* a power of two */

static csp_lock table_lock;                 /* process-wide; rank REGISTRY, zero is a free lock; held with no other lock */
static csp_actor *first_actor, *last_actor; /* process-wide; guarded by table_lock: all whose thread lives, oldest first */
static uint32_t nactors, nzombies;          /* process-wide; guarded by table_lock */
static csp_actor *names[NAME_BUCKETS];      /* process-wide; guarded by table_lock */
static bool process_ending;                 /* process-wide; guarded by table_lock */
static _Atomic uint32_t lives;              /* process-wide; release in csp_life_end / acquire in csp_lives */
static _Atomic uint32_t endings;            /* process-wide; a futex word; release in csp_actor_unlist / acquire in csp_endings */
_Atomic int csp_exit_status = -1;           /* process-wide; relaxed: set and read by the main thread */

static csp_chan *dead_letters;              /* process-wide; guarded by table_lock; counted, with one end of each kind */

#define DEAD_LETTERS 1024 /* the newest are kept */

static void lock_table(void)
{
#ifdef CSP_DEBUG_LOCKS
    table_lock.rank = CSP_RANK_REGISTRY; /* the same value every time */
#endif
    csp_lock_acquire(&table_lock);
}

/* --- fork --- */

#ifndef _WIN32
/* The child has none of the parent's threads, so none of its actors. */
static void after_fork_in_child(void)
{
    csp_lock_init(&table_lock, CSP_RANK_REGISTRY, 0);
    first_actor = last_actor = NULL;
    nactors = nzombies = 0;
    memset(names, 0, sizeof names);
    dead_letters = NULL;
    atomic_store_explicit(&lives, 0, memory_order_relaxed); /* one thread: nothing to order */
}

static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static void install(void) { pthread_atfork(NULL, NULL, after_fork_in_child); }

void csp_actors_install_fork_handler(void) { pthread_once(&fork_once, install); }
#else
void csp_actors_install_fork_handler(void) {}
#endif

/* --- the tables --- */

static uint32_t bucket_of(const char *name) /* FNV-1a */
{
    uint32_t hash = 2166136261u;
    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    return hash & (NAME_BUCKETS - 1);
}

static csp_actor *find_locked(const char *name)
{
    csp_actor *actor = names[bucket_of(name)];
    while (actor != NULL && strcmp(actor->name, name) != 0)
        actor = actor->next_named;
    return actor;
}

static void enter_name_locked(csp_actor *actor)
{
    csp_actor **bucket = &names[bucket_of(actor->name)];
    actor->next_named = *bucket;
    *bucket = actor;
    actor->named = true;
}

static void leave_name_locked(csp_actor *actor)
{
    csp_actor **at = &names[bucket_of(actor->name)];
    while (*at != actor)
        at = &(*at)->next_named;
    *at = actor->next_named;
    actor->named = false;
}

static void enter_list_locked(csp_actor *actor)
{
    if (actor->listed++ > 0)
        return;
    actor->next = NULL;
    actor->prev = last_actor;
    *(last_actor != NULL ? &last_actor->next : &first_actor) = actor;
    last_actor = actor;
    nactors++;
}

static void leave_list_locked(csp_actor *actor)
{
    if (--actor->listed > 0)
        return;
    *(actor->prev != NULL ? &actor->prev->next : &first_actor) = actor->next;
    *(actor->next != NULL ? &actor->next->prev : &last_actor) = actor->prev;
    nactors--;
}

/* Into the tables, under a name of its own. */
csp_status csp_actor_list(csp_actor *actor, const csp_actor_spec *spec)
{
    csp_status status = CSP_OK;
    size_t room = strlen(spec->name) + CSP_NAME_SUFFIX;
    lock_table();
    if (process_ending)
        status = CSP_KILLED;
    else if (!spec->is_interpreter) {
        for (uint64_t suffix = actor->id; spec->unique; suffix++) {
            snprintf(actor->name, room, "%s-%llu", spec->name, (unsigned long long)suffix);
            if (find_locked(actor->name) == NULL)
                break;
        }
        if (find_locked(actor->name) != NULL)
            status = CSP_BROKEN;
        else
            enter_name_locked(actor);
    }
    if (status == CSP_OK) {
        enter_list_locked(actor);
        if (spec->keep != CSP_KEEP_NEVER) {
            enter_list_locked(actor);
            actor->listed_as_kept = true;
        }
    }
    csp_lock_release(&table_lock);
    return status;
}

/* Out of the names; and off the list, if only a life to come kept it there. */
void csp_actor_unname(csp_actor *actor)
{
    lock_table();
    if (actor->named)
        leave_name_locked(actor);
    if (actor->listed_as_kept) {
        actor->listed_as_kept = false;
        leave_list_locked(actor);
    }
    csp_lock_release(&table_lock);
}

static void leave_list(csp_actor *actor)
{
    lock_table();
    if (actor->listed > 0)
        leave_list_locked(actor);
    csp_lock_release(&table_lock);
}

void csp_actor_forget(csp_actor *actor)
{
    csp_actor_unname(actor);
    leave_list(actor);
}

csp_actor *csp_actor_find(const char *name)
{
    lock_table();
    csp_actor *actor = find_locked(name);
    if (actor != NULL)
        csp_actor_incref(actor); /* its life holds a reference as long as it has a name */
    csp_lock_release(&table_lock);
    return actor;
}

csp_actor **csp_actor_snapshot(csp_actor *children_of, bool all, uint32_t *p_count)
{
    uint32_t n = 0;
    lock_table();
    csp_actor **list = csp_raw_alloc((nactors + 1) * sizeof *list);
    for (csp_actor *actor = first_actor; list != NULL && actor != NULL; actor = actor->next) {
        if (all || actor->parent == children_of) {
            csp_actor_incref(actor);
            list[n++] = actor;
        }
    }
    csp_lock_release(&table_lock);
    *p_count = n;
    return list;
}

void csp_actor_give_up_thread(csp_actor *actor, csp_thread_state *thread)
{
    lock_table();
    if (*thread == CSP_THREAD_RUNS) {
        *thread = CSP_THREAD_GIVEN_UP;
        actor->zombies++;
        nzombies++;
    }
    csp_lock_release(&table_lock);
}

void csp_actor_thread_gone(csp_actor *actor, csp_thread_state *thread)
{
    lock_table();
    if (*thread == CSP_THREAD_GIVEN_UP) {
        actor->zombies--;
        nzombies--;
    }
    *thread = CSP_THREAD_GONE;
    csp_lock_release(&table_lock);
}

csp_actor **csp_actor_zombies(uint32_t *p_count)
{
    uint32_t n = 0;
    lock_table();
    csp_actor **list = csp_raw_alloc((nzombies + 1) * sizeof *list);
    for (csp_actor *actor = first_actor; list != NULL && actor != NULL; actor = actor->next) {
        for (uint32_t i = 0; i < actor->zombies && n < nzombies; i++) {
            csp_actor_incref(actor);
            list[n++] = actor;
        }
    }
    csp_lock_release(&table_lock);
    *p_count = n;
    return list;
}

uint32_t csp_actor_count_warm(void)
{
    uint32_t n = 0, count = 0;
    csp_actor **list = csp_actor_snapshot(NULL, true, &n);
    for (uint32_t i = 0; list != NULL && i < n; i++) {
        csp_lock_acquire(&list[i]->lock);
        count += list[i]->warm && list[i]->state == CSP_ACTOR_ALIVE && list[i]->successor == NULL;
        csp_lock_release(&list[i]->lock);
        csp_actor_decref(list[i]);
    }
    csp_raw_free(list);
    return count;
}

bool csp_process_is_ending(void)
{
    csp_lock_acquire(&table_lock);
    bool ending = process_ending;
    csp_lock_release(&table_lock);
    return ending;
}

void csp_process_set_ending(void)
{
    lock_table();
    process_ending = true;
    csp_lock_release(&table_lock);
}

csp_status csp_actor_list_again(csp_actor *actor)
{
    lock_table();
    csp_status status = process_ending ? CSP_KILLED : CSP_OK;
    if (status == CSP_OK)
        enter_list_locked(actor);
    csp_lock_release(&table_lock);
    return status;
}

/* --- dead letters --- */

csp_chan *csp_dead_letters(void)
{
    lock_table();
    csp_chan *chan = dead_letters;
    csp_lock_release(&table_lock);
    if (chan != NULL)
        return chan;
    csp_chan *made = csp_chan_new(DEAD_LETTERS, CSP_DROP_OLDEST, false, "dead letters");
    csp_end *both = made == NULL ? NULL : csp_end_new(made, CSP_SEND | CSP_RECV, NULL);
    if (both != NULL) {
        lock_table();
        if (dead_letters == NULL)
            dead_letters = made;
        chan = dead_letters;
        csp_lock_release(&table_lock);
    }
    if (chan != made) { /* another thread was faster, or there was no memory */
        if (both != NULL)
            csp_end_free(both);
        if (made != NULL)
            csp_chan_decref(made);
    }
    return chan;
}

/* --- lives --- */

void csp_life_begin(void) { atomic_fetch_add_explicit(&lives, 1, memory_order_relaxed); /* its thread starts later */ }

void csp_life_end(void) { atomic_fetch_sub_explicit(&lives, 1, memory_order_release); }

uint32_t csp_lives(void) { return atomic_load_explicit(&lives, memory_order_acquire); }

void csp_actor_unlist(csp_actor *actor)
{
    leave_list(actor);
    atomic_fetch_add_explicit(&endings, 1, memory_order_release);
    csp_futex_wake_all(&endings);
}

uint32_t csp_endings(void) { return atomic_load_explicit(&endings, memory_order_acquire); }

void csp_endings_wait(uint32_t seen, csp_time deadline) { csp_futex_wait(&endings, seen, deadline); }
