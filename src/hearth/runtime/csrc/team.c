#include "team.h"

#include <stdlib.h>

#include "memory.h"
#include "platform.h"

/* How long a thread without work stays awake. Within a run the next step is microseconds away, so it spins, then offers
 * its core to others while it waits, then sleeps. After a run the next one may never come: if the last one followed
 * shortly on the one before, as the tokens of an answer do, it waits twice as long as that took, else it soon sleeps. Where
 * a core cannot be offered, who spins may be keeping it from one whose work all wait for, so it sleeps earlier. */
enum {
    SPIN_NS = 10 * 1000,
    YIELD_NS = 300 * 1000,
    SPIN_ONLY_NS = 50 * 1000,
    IDLE_NS = 50 * 1000,
    LONGEST_IDLE_NS = 1000 * 1000,
    SPINS_BETWEEN_CLOCKS = 64
};

/* All that the threads agree on is one word: the number of the published step in its high half, which counts on through
 * all runs; in its low half how many of the step's grains nobody has taken yet, or ENDED when the run is over. A claim is
 * one compare-and-swap of that word, so it can only succeed on the step it was made for. */
/* What a waiting thread fetches of the weights that it will read next. Within a run about as much as memory can bring
 * while the others end their chunks and one of them runs the small steps in between, when it would else have nothing to
 * do. After a run what the next one reads first: the caller is choosing a token meanwhile, and takes a tenth of a
 * millisecond for it, since the weights have driven its own code out of the caches. */
enum { AHEAD_BYTES = 128 * 1024, IDLE_AHEAD_BYTES = 1024 * 1024, CACHE_LINE = 64, LINES_BETWEEN_LOOKS = 4 };

#define ENDED 0x80000000u
#define REMAINING(word) ((uint32_t)(word) & ~ENDED)
#define SEQUENCE(word) ((uint32_t)((word) >> 32))
#define WORD(sequence, low) (((uint64_t)(sequence) << 32) | (low))

typedef struct {
    hth_team *team;
    hth_thread *thread;
    void *scratch;
} member;

struct hth_team {
    _Alignas(128) _Atomic uint64_t word;
    _Atomic uint32_t sleepers;
    _Atomic uint32_t quit;
    _Atomic uint32_t idle_ns; /* how long to stay awake after this run */
    uint64_t ended_ns;        /* when the run before ended */
    _Alignas(128) _Atomic uint32_t finished; /* grains of the published step that are done */
    _Atomic int32_t failure;
    _Atomic(const char *) ahead; /* a hint: what to fetch while waiting, or NULL */
    _Atomic(const hth_team_work *) expected; /* a hint: what the next run will be, or NULL */

    /* The published step. Written before it is published, read only by holders of a claim. */
    _Alignas(128) hth_team_step *steps;
    size_t count, current;
    uint32_t grains;
    uint64_t started_ns;
    bool profile;

    uint32_t threads;
    uint64_t owner_process;
    hth_parking *parking;
    hth_memory scratch;
    member *members;
};

static uint32_t grains_of(const hth_team_step *step) {
    return (uint32_t)((step->units + step->grain - 1) / step->grain);
}

static void run_units(hth_team *team, hth_team_step *step, int64_t begin, int64_t end, void *scratch) {
    const int32_t answer = step->run(begin, end, step->buffers, step->scalars, scratch);
    int32_t none = 0;
    if (answer != 0) atomic_compare_exchange_strong(&team->failure, &none, answer);
}

/* Nothing of the run may be touched after this but by a holder of a claim: the others may be through with it already. */
static void publish(hth_team *team, uint32_t low) {
    const uint32_t sequence = SEQUENCE(atomic_load_explicit(&team->word, memory_order_relaxed)) + 1;
    /* Sequentially consistent, as the sleeper's side is: either we see that it sleeps, or it sees the new word. */
    atomic_store(&team->word, WORD(sequence, low));
    if (atomic_load(&team->sleepers) != 0) hth_unpark_all(team->parking, &team->word);
}

/* Runs grains [first, first + taken) of the published step; true if they were its last. */
static bool run_claim(hth_team *team, uint32_t first, uint32_t taken, void *scratch) {
    hth_team_step *step = &team->steps[team->current];
    const uint32_t grains = team->grains;
    const int64_t begin = (int64_t)first * step->grain;
    const int64_t end = first + taken == grains ? step->units : (int64_t)(first + taken) * step->grain;
    run_units(team, step, begin, end, scratch);
    return atomic_fetch_add_explicit(&team->finished, taken, memory_order_acq_rel) + taken == grains;
}

/* A fair share of what remains (guided self-scheduling): large at first, so that few claims are made and each reads far
 * ahead, and small at the end, so that threads of unequal speed end together. */
static uint32_t share(const hth_team *team, uint32_t remaining) {
    const uint32_t part = remaining / team->threads;
    return part > 0 ? part : 1;
}

/* Tells the threads that will run out of work in the current step what they will read in the next that has weights: what
 * comes after the first claim, which is made by the thread that publishes that step. */
static void announce(hth_team *team) {
    size_t coming = team->current + 1;
    while (coming < team->count && (team->steps[coming].weights == NULL || team->steps[coming].units == 0)) ++coming;
    const char *ahead = NULL;
    if (coming < team->count) {
        const hth_team_step *step = &team->steps[coming];
        const uint32_t grains = grains_of(step);
        ahead = step->weights + step->weights_bytes / grains * share(team, grains);
    }
    atomic_store_explicit(&team->ahead, ahead, memory_order_relaxed);
}

/* Runs steps from team->current on, as long as this thread can do so alone, and publishes the next that can be shared,
 * keeping a share of it. Called by the one thread that finished the step before. */
static void advance(hth_team *team, void *scratch) {
    for (;;) {
        if (team->current == team->count) {
            publish(team, ENDED);
            return;
        }
        hth_team_step *step = &team->steps[team->current];
        team->grains = grains_of(step);
        if (team->grains == 0) {
            ++team->current;
            continue;
        }
        announce(team);
        if (team->profile) team->started_ns = hth_now_ns();
        if (team->grains == 1 || team->threads == 1) {
            run_units(team, step, 0, step->units, scratch);
        } else {
            const uint32_t own = share(team, team->grains);
            const uint32_t others = team->grains - own;
            atomic_store_explicit(&team->finished, 0, memory_order_relaxed);
            publish(team, others);
            if (!run_claim(team, 0, own, scratch)) return; /* others are at it; one of them goes on */
        }
        if (team->profile) {
            step->time_ns += hth_now_ns() - team->started_ns;
            ++step->calls;
        }
        ++team->current;
    }
}

/* Takes part in the published step, and those after it, until nothing is left to take. Answers the last word it saw. */
static uint64_t take_part(hth_team *team, void *scratch) {
    uint64_t word = atomic_load_explicit(&team->word, memory_order_acquire);
    while (REMAINING(word) > 0) {
        const uint32_t taken = share(team, REMAINING(word));
        if (!atomic_compare_exchange_weak_explicit(&team->word, &word, word - taken, memory_order_acq_rel,
                                                   memory_order_acquire)) {
            continue;
        }
        if (run_claim(team, team->grains - REMAINING(word), taken, scratch)) {
            hth_team_step *step = &team->steps[team->current];
            if (team->profile) {
                step->time_ns += hth_now_ns() - team->started_ns;
                ++step->calls;
            }
            ++team->current;
            advance(team, scratch);
        }
        word = atomic_load_explicit(&team->word, memory_order_acquire);
    }
    return word;
}

/* What to fetch, some lines at a time. */
typedef struct {
    const char *line;
    uint64_t left;             /* bytes from `line` on */
    const hth_team_step *step; /* then the weights of these, up to `budget` bytes */
    size_t steps;
    uint64_t budget;
} fetching;

static fetching what_to_fetch(hth_team *team, bool ended) {
    fetching answer = {.line = NULL};
    if (ended) {
        const hth_team_work *work = atomic_load_explicit(&team->expected, memory_order_acquire);
        answer.step = work != NULL ? work->steps : NULL;
        answer.steps = work != NULL ? work->count : 0;
        answer.budget = IDLE_AHEAD_BYTES;
    } else {
        answer.line = atomic_load_explicit(&team->ahead, memory_order_relaxed);
        answer.left = answer.line != NULL ? AHEAD_BYTES : 0;
    }
    return answer;
}

/* Fetches a few lines; false if nothing is left to fetch. */
static bool fetch_some(fetching *f) {
    for (; f->left < CACHE_LINE && f->steps > 0; ++f->step, --f->steps) {
        f->line = f->step->weights;
        f->left = f->line == NULL ? 0 : f->step->weights_bytes < f->budget ? f->step->weights_bytes : f->budget;
        f->budget -= f->left;
    }
    for (int line = 0; line < LINES_BETWEEN_LOOKS && f->left >= CACHE_LINE; ++line) {
        hth_prefetch(f->line);
        f->line += CACHE_LINE;
        f->left -= CACHE_LINE;
    }
    return f->left >= CACHE_LINE || f->steps > 0;
}

/* Waits until something else than `seen` is published. */
static void wait_for_news(hth_team *team, uint64_t seen) {
    const bool ended = (seen & ENDED) != 0;
    const uint64_t patience_ns = !HTH_CAN_YIELD ? SPIN_ONLY_NS
                                 : ended        ? atomic_load_explicit(&team->idle_ns, memory_order_relaxed)
                                                : YIELD_NS;
    fetching coming = what_to_fetch(team, ended);
    bool fetches = true;
    uint64_t started = 0;
    for (;;) {
        for (int i = 0; i < SPINS_BETWEEN_CLOCKS; ++i) {
            if (SEQUENCE(atomic_load_explicit(&team->word, memory_order_acquire)) != SEQUENCE(seen)) return;
            if (fetches) {
                fetches = fetch_some(&coming);
            } else {
                hth_relax();
            }
        }
        const uint64_t now = hth_now_ns();
        if (started == 0) started = now;
        if (now - started < SPIN_NS) continue;
        if (now - started < patience_ns) {
            hth_yield();
            continue;
        }
        atomic_fetch_add(&team->sleepers, 1);
        hth_park(team->parking, &team->word, SEQUENCE(seen));
        atomic_fetch_sub(&team->sleepers, 1);
    }
}

static void worker(void *pointer) {
    member *self = pointer;
    hth_team *team = self->team;
    for (;;) {
        const uint64_t word = take_part(team, self->scratch);
        /* After the word was read: if that is the last word ever published, we now see that it is time to go. */
        if (atomic_load_explicit(&team->quit, memory_order_acquire) != 0) return;
        wait_for_news(team, word);
    }
}

static uint32_t patience_after(uint64_t gap_ns) {
    if (gap_ns > LONGEST_IDLE_NS / 2) return IDLE_NS;
    return gap_ns > IDLE_NS / 2 ? 2 * (uint32_t)gap_ns : IDLE_NS;
}

int32_t hth_team_run(hth_team *team, const hth_team_work *work, bool profile) {
    void *scratch = team->members[0].scratch;
    team->steps = work->steps;
    team->count = work->count;
    team->current = 0;
    team->profile = profile;
    atomic_store_explicit(&team->idle_ns, patience_after(hth_now_ns() - team->ended_ns), memory_order_relaxed);
    atomic_store_explicit(&team->failure, 0, memory_order_relaxed);
    advance(team, scratch);
    uint64_t word = take_part(team, scratch);
    while ((word & ENDED) == 0) {
        wait_for_news(team, word);
        word = take_part(team, scratch);
    }
    team->ended_ns = hth_now_ns();
    return atomic_load_explicit(&team->failure, memory_order_relaxed);
}

void hth_team_expect(hth_team *team, const hth_team_work *work) {
    atomic_store_explicit(&team->expected, work, memory_order_release);
}

hth_team *hth_team_create(uint32_t threads, uint64_t scratch_bytes) {
    hth_team *team = NULL;
    uint64_t total = 0;
    if (threads == 0 || scratch_bytes > UINT64_MAX / 2) return NULL;
    /* A line between neighbours' scratch, so that the end of one and the start of the next never share one. */
    const uint64_t stride = hth_align64(scratch_bytes) + 64;
    if (!hth_add_product(&total, threads, stride)) return NULL;
    team = aligned_alloc(128, sizeof *team);
    if (team == NULL) return NULL;
    *team = (hth_team){.threads = threads, .owner_process = hth_process_id(), .word = ENDED, .idle_ns = IDLE_NS};
    team->parking = hth_parking_create();
    team->members = calloc(threads, sizeof *team->members);
    if (team->parking == NULL || team->members == NULL || !hth_memory_allocate(&team->scratch, total)) {
        hth_team_free(team);
        return NULL;
    }
    for (uint32_t i = 0; i < threads; ++i) {
        team->members[i] = (member){.team = team, .scratch = team->scratch.data + i * stride};
    }
    for (uint32_t i = 1; i < threads; ++i) {
        team->members[i].thread = hth_thread_start(worker, &team->members[i]);
        if (team->members[i].thread == NULL) {
            hth_team_free(team);
            return NULL;
        }
    }
    return team;
}

void hth_team_free(hth_team *team) {
    if (team == NULL) return;
    atomic_store_explicit(&team->quit, 1, memory_order_release);
    if (team->parking != NULL) publish(team, ENDED);
    for (uint32_t i = 1; team->members != NULL && i < team->threads; ++i) {
        if (team->members[i].thread == NULL) continue;
        if (team->owner_process == hth_process_id()) {
            hth_thread_join(team->members[i].thread);
        } else {
            hth_thread_forget(team->members[i].thread); /* after fork() there is nobody to wait for */
        }
    }
    if (team->parking != NULL) hth_parking_free(team->parking);
    hth_memory_free(&team->scratch);
    free(team->members);
    free(team);
}
