/* {banner} Runs a recorded input and compares every membrane and spike, as a hash, and all scores. */
#define {UP}_TRACE
#include "{low}.c"
#include <stdio.h>

#define N_STEPS {n_steps}

static const uint32_t n_events[N_STEPS] = { {n_events} };
static const uint16_t events[][3] = { {events} }; /* row, column, channel */
static const int64_t expected[{UP}_OUTPUTS] = { {scores} };

int main(void)
{
    uint32_t t, k, at = 0, n_wrong = 0;
    {low}_reset();
    for (t = 0; t < N_STEPS; t++) {
        for (k = 0; k < n_events[t]; k++, at++)
            n_wrong += !{low}_add_event(events[at][0], events[at][1], events[at][2]);
        {low}_step();
    }
    for (k = 0; k < {UP}_OUTPUTS; k++)
        n_wrong += {low}_score(k) != expected[k];
    n_wrong += {low}_trace != {trace}u;
    if (n_wrong) {
        printf("different: %lu, trace %lu\n", (unsigned long)n_wrong, (unsigned long){low}_trace);
        return 1;
    }
    printf("ok: %d steps, class %lu, trace %lu\n", N_STEPS, (unsigned long){low}_class(), (unsigned long){low}_trace);
    return 0;
}
