/* Schedules of the learning rate: see reel_train.h for the formulas. */
#include <reel_train.h>

#include <math.h>

static const double SCHEDULE_PI = 3.14159265358979323846;

/* From `from` at p = 0 to `to` at p = 1, along half a cosine. */
static double schedule_half_cosine(double from, double to, double p)
{
    return to + (from - to) * ((1 + cos(SCHEDULE_PI * p)) / 2);
}

double reel_schedule_step(double rate, double factor, int64_t every, int64_t t)
{
    return every > 0 && t > 0 ? rate * pow(factor, (double)(t / every)) : rate;
}

double reel_schedule_cosine(double rate, double least, int64_t warm_up, int64_t steps, int64_t t)
{
    if (t < warm_up)
        return rate * (double)(t + 1) / (double)warm_up;
    if (t >= steps)
        return least;
    return schedule_half_cosine(rate, least, (double)(t - warm_up) / (double)(steps - warm_up));
}

double reel_schedule_one_cycle(double rate, int64_t steps, int64_t t)
{
    double first = rate / 25, last = first / 1e4, top = .3 * (double)steps - 1, end = (double)steps - 1;
    double at = (double)t;
    if (at >= end)
        return last;
    return at <= top ? schedule_half_cosine(first, rate, at / top)
                     : schedule_half_cosine(rate, last, (at - top) / (end - top));
}

double reel_schedule_rate(const reel_schedule *s, int64_t t)
{
    switch (s->kind) {
    case REEL_SCHEDULE_STEP:      return reel_schedule_step(s->rate, s->factor, s->every, t);
    case REEL_SCHEDULE_COSINE:    return reel_schedule_cosine(s->rate, s->least, s->warm_up, s->steps, t);
    case REEL_SCHEDULE_ONE_CYCLE: return reel_schedule_one_cycle(s->rate, s->steps, t);
    default:                      return s->rate;
    }
}

bool reel_schedule_write(const reel_schedule *schedule, int64_t t, reel_tensor learning_rate)
{
    return reel_write(learning_rate,
                      reel_fill(reel_dtype_of(learning_rate), reel_schedule_rate(schedule, t)));
}
