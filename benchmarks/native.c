/* Steps of dense Adam on rows of tables, for native.py: the same bits as torch's fused Adam.

   A row holds how many steps it is advanced. It may stay behind while it has no gradient, and is then advanced by
   several steps at once, during which it stays in registers.

   Shapes: R rows of a table, D its width, N indices. */

#include <immintrin.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#define VECTOR __attribute__((target("avx2,fma")))
#define INLINE VECTOR static inline __attribute__((always_inline))
#define WIDTH 8         /* numbers of a vector */
#define BLOCK 2         /* vectors of a row that are advanced together */
#define AHEAD 8         /* rows that are fetched before they are needed */
#define PER_TASK 256    /* rows that a thread takes at a time */
#define MOST_THREADS 64

struct Step {
    float rate, root;    /* the learning rate over 1 - beta1^k; the root of 1 - beta2^k */
    float inverse, rest; /* together 1 / root in twice the digits */
};

struct Settings {
    const struct Step *steps; /* the first one at 1 */
    float mean_share, square_share, square_kept, eps;
};

struct Table {
    float *weight, *mean, *square, *gradient; /* (R, D) */
    int32_t *done;    /* (R,): how many steps a row is advanced */
    int32_t *touched; /* (R,): the last step in which a row has a gradient */
    int64_t n_rows, width;
};

struct Job {
    const struct Table *table;
    const int32_t *rows; /* which rows; NULL for all */
    int64_t n;
    int32_t to, has_gradient; /* the step to reach; whether rows that are touched in it have gradients now */
};

/* Return a / b as if rounded once: Markstein's division, whose reciprocal of b is made of two numbers. */
INLINE __m256 divide(__m256 a, __m256 b, __m256 inverse, __m256 rest) {
    const __m256 near = _mm256_fmadd_ps(a, inverse, _mm256_mul_ps(a, rest));
    const __m256 found = _mm256_fmadd_ps(_mm256_fnmadd_ps(near, b, a), inverse, near);
    const __m256 infinite = _mm256_cmp_ps(a, _mm256_set1_ps(__builtin_inff()), _CMP_EQ_OQ);
    return _mm256_blendv_ps(found, a, infinite);
}

/* Advance BLOCK vectors of a row from step `from` to step `to`; the last one has the gradient, if there is one. */
INLINE void advance(float *weight, float *mean, float *square, float *gradient, int32_t from, int32_t to,
                    const struct Settings *settings) {
    const __m256 mean_share = _mm256_set1_ps(settings->mean_share), square_share = _mm256_set1_ps(settings->square_share);
    const __m256 square_kept = _mm256_set1_ps(settings->square_kept), eps = _mm256_set1_ps(settings->eps);
    __m256 w[BLOCK], m[BLOCK], v[BLOCK];
    for (int i = 0; i < BLOCK; i++) {
        w[i] = _mm256_loadu_ps(weight + i * WIDTH);
        m[i] = _mm256_loadu_ps(mean + i * WIDTH);
        v[i] = _mm256_loadu_ps(square + i * WIDTH);
    }
    for (int32_t k = from + 1; k <= to; k++) {
        const __m256 rate = _mm256_set1_ps(-settings->steps[k].rate), root = _mm256_set1_ps(settings->steps[k].root);
        const __m256 inverse = _mm256_set1_ps(settings->steps[k].inverse), rest = _mm256_set1_ps(settings->steps[k].rest);
        for (int i = 0; i < BLOCK; i++) {
            v[i] = _mm256_mul_ps(v[i], square_kept);
            if (gradient != NULL && k == to) {
                const __m256 g = _mm256_loadu_ps(gradient + i * WIDTH);
                m[i] = _mm256_fmadd_ps(mean_share, _mm256_sub_ps(g, m[i]), m[i]);
                v[i] = _mm256_fmadd_ps(_mm256_mul_ps(square_share, g), g, v[i]);
                _mm256_storeu_ps(gradient + i * WIDTH, _mm256_setzero_ps());
            } else {
                m[i] = _mm256_fmadd_ps(mean_share, _mm256_sub_ps(_mm256_setzero_ps(), m[i]), m[i]);
            }
            const __m256 scaled = divide(_mm256_sqrt_ps(v[i]), root, inverse, rest);
            w[i] = _mm256_add_ps(w[i], _mm256_div_ps(_mm256_mul_ps(rate, m[i]), _mm256_add_ps(scaled, eps)));
        }
    }
    for (int i = 0; i < BLOCK; i++) {
        _mm256_storeu_ps(weight + i * WIDTH, w[i]);
        _mm256_storeu_ps(mean + i * WIDTH, m[i]);
        _mm256_storeu_ps(square + i * WIDTH, v[i]);
    }
}

INLINE void fetch(const float *row, int64_t width) {
    for (int64_t d = 0; d < width; d += 16) __builtin_prefetch(row + d, 1);
}

VECTOR static void do_task(const struct Job *job, int64_t first, int64_t last, const struct Settings *settings) {
    const struct Table *table = job->table;
    for (int64_t b = first; b < last; b++) {
        const int64_t row = job->rows == NULL ? b : job->rows[b], at = row * table->width;
        if (job->rows != NULL && b + AHEAD < last) {
            const int64_t next = job->rows[b + AHEAD] * table->width;
            fetch(table->weight + next, table->width);
            fetch(table->mean + next, table->width);
            fetch(table->square + next, table->width);
        }
        float *gradient = job->has_gradient && table->touched[row] == job->to ? table->gradient + at : NULL;
        for (int64_t d = at; d < at + table->width; d += BLOCK * WIDTH)
            advance(table->weight + d, table->mean + d, table->square + d,
                    gradient == NULL ? NULL : gradient + d - at, table->done[row], job->to, settings);
        table->done[row] = job->to;
    }
}

struct Work {
    const struct Job *jobs;
    const struct Settings *settings;
    int64_t n_jobs, next;
    unsigned int rounding; /* whether denormal numbers are flushed to zero, which each thread must be told */
};

static void *work(void *argument) {
    struct Work *shared = argument;
    const unsigned int before = _mm_getcsr();
    _mm_setcsr(shared->rounding);
    for (;;) {
        int64_t first = PER_TASK * __atomic_fetch_add(&shared->next, 1, __ATOMIC_RELAXED), number = 0;
        while (number < shared->n_jobs && first >= shared->jobs[number].n) {
            const int64_t n = shared->jobs[number++].n;
            first -= (n + PER_TASK - 1) / PER_TASK * PER_TASK;
        }
        if (number == shared->n_jobs) break;
        const int64_t n = shared->jobs[number].n;
        do_task(&shared->jobs[number], first, first + PER_TASK < n ? first + PER_TASK : n, shared->settings);
    }
    _mm_setcsr(before);
    return NULL;
}

/* Do jobs on tables with several threads, which are made for this call. */
void do_jobs(const struct Job *jobs, int64_t n_jobs, const struct Settings *settings, int64_t n_threads) {
    struct Work shared = {jobs, settings, n_jobs, 0, _mm_getcsr()};
    pthread_t threads[MOST_THREADS];
    int64_t n_made = 0;
    while (n_made < n_threads - 1 && n_made < MOST_THREADS && !pthread_create(&threads[n_made], NULL, work, &shared))
        n_made++;
    work(&shared);
    while (n_made > 0) pthread_join(threads[--n_made], NULL);
}

/* Note that the rows at indices (N,) are touched in a step; write each of them once, and return how many. */
int64_t touch(const struct Table *table, const int64_t *index, int64_t n, int32_t step, int32_t *rows) {
    int64_t n_found = 0;
    for (int64_t b = 0; b < n; b++)
        if (table->touched[index[b]] != step) {
            table->touched[index[b]] = step;
            rows[n_found++] = (int32_t)index[b];
        }
    return n_found;
}

/* Add rows (N, D) to those of the gradient at indices (N,), one after another. */
VECTOR void add_rows(const struct Table *table, const int64_t *index, int64_t n, const float *restrict rows) {
    const int64_t width = table->width;
    for (int64_t b = 0; b < n; b++) {
        if (b + AHEAD < n) fetch(table->gradient + index[b + AHEAD] * width, width);
        float *restrict to = table->gradient + index[b] * width;
        for (int64_t d = 0; d < width; d++) to[d] += rows[b * width + d];
    }
}
