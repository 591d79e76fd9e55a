/* ADOL-C's chain_1000: f64 scalars, 500 times y = y a, y = y + b; forward and the gradient into a and b. Mode
 * `record` traces each step and sweeps back over the trace, mode `replay` computes the gradient from one
 * trace. It is asked as the other peers are: lines `run WORKLOAD`, answered by one round of each mode and an
 * empty line. */
#include <adolc/adolc.h>

#include <chrono>
#include <cstdio>
#include <cstring>

enum { LINKS = 500, TAG = 1 };

static double gradient_of[2];

static void trace(int keep)
{
    trace_on(TAG, keep);
    adouble a, b, y;
    double end;
    a <<= .999;
    b <<= .001;
    y = a;
    for (int i = 0; i < LINKS; i++) {
        y = y * a;
        y = y + b;
    }
    y >>= end;
    trace_off();
}

static void record()
{
    double one[1] = {1};
    trace(1);                                   // keeps the values that the sweep needs
    fos_reverse(TAG, 1, 2, one, gradient_of);
}

static void replay()
{
    const double x[2] = {.999, .001};
    gradient(TAG, 2, x, gradient_of);
}

static double seconds(void (*step)(), int steps)
{
    auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < steps; i++)
        step();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / steps;
}

static int steps_of(void (*step)())
{
    double once = seconds(step, 1);
    for (double spent = once; spent < .05; spent += once)
        once = seconds(step, 1);
    return once < .02 ? (int)(.02 / once) + 1 : 1;
}

static void round_of(const char *mode, void (*step)(), int steps)
{
    seconds(step, (steps + 9) / 10);
    std::printf("{\"peer\":\"adolc\",\"workload\":\"chain_1000\",\"mode\":\"%s\",\"threads\":1,"
                "\"sec\":%.9g}\n", mode, seconds(step, steps));
}

int main()
{
    int record_steps = steps_of(record), replay_steps = steps_of(replay);
    char line[128];
    while (std::fgets(line, sizeof line, stdin)) {
        if (!std::strcmp(line, "run chain_1000\n")) {
            round_of("record", record, record_steps);
            round_of("replay", replay, replay_steps);
        }
        std::puts("");
        std::fflush(stdout);
    }
}
