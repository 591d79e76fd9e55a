/* Drawn images: ten shapes, each at a random place, size and tilt, over clutter, shading and noise.
 *
 * A shape is a function d(x, y) in its own frame, centre 0 and radius 1: about the distance to its edge,
 * negative inside. A pixel of radius r pixels is covered by clamp(1/2 - r d), which smooths the edge.
 *
 * Only + - * / and square roots of f32 are used, all exactly rounded, so that every machine draws the same
 * bytes. The two faint hints that a linear model can use are a colour typical of the class and the shape's
 * mean outline, both blurred by chance. */
#include "train/images.h"

#include <math.h>
#include <string.h>

static float shapes_band(float x, float half)       /* |x| <= half                                 */
{
    return fabsf(x) - half;
}

static float shapes_box(float x, float y, float half_x, float half_y)
{
    return fmaxf(shapes_band(x, half_x), shapes_band(y, half_y));
}

static float shapes_circle(float x, float y, float radius)
{
    return sqrtf(x * x + y * y) - radius;
}

static float shapes_disc(float x, float y)
{
    return shapes_circle(x, y, 0.9f);
}

static float shapes_ring(float x, float y)
{
    return shapes_band(shapes_circle(x, y, 0.75f), 0.2f);
}

static float shapes_square(float x, float y)
{
    return shapes_box(x, y, 0.8f, 0.8f);
}

static float shapes_triangle(float x, float y)      /* its point is up, y runs down                */
{
    return fmaxf(y - 0.7f, 0.8944f * fabsf(x) - 0.4472f * (y + 1));
}

static float shapes_cross(float x, float y)
{
    return fminf(shapes_box(x, y, 1, 0.28f), shapes_box(x, y, 0.28f, 1));
}

static float shapes_saltire(float x, float y)
{
    return shapes_cross(0.7071f * (x + y), 0.7071f * (x - y));
}

static float shapes_bars(float x, float y)
{
    float stripes = fminf(shapes_band(y, 0.2f), shapes_band(fabsf(y) - 0.75f, 0.2f));
    return fmaxf(stripes, shapes_band(x, 0.95f));
}

static float shapes_posts(float x, float y)
{
    return shapes_bars(y, x);
}

static float shapes_checks(float x, float y)        /* five of nine fields                         */
{
    float corners = shapes_box(fabsf(x) - 0.64f, fabsf(y) - 0.64f, 0.32f, 0.32f);
    return fminf(corners, shapes_box(x, y, 0.32f, 0.32f));
}

static float shapes_crescent(float x, float y)
{
    return fmaxf(shapes_circle(x, y, 0.95f), -shapes_circle(x - 0.5f, y, 0.75f));
}

typedef struct shapes_colour {
    float channel[3];                               /* red, green, blue; 0 to 255                  */
} shapes_colour;

static const struct shapes_class {
    const char   *name;
    float       (*distance)(float x, float y);
    shapes_colour typical;
} shapes_class[REEL_IMAGE_CLASSES] = {
    {"disc", shapes_disc, {{235, 190, 60}}},        {"ring", shapes_ring, {{60, 200, 200}}},
    {"square", shapes_square, {{200, 60, 60}}},     {"triangle", shapes_triangle, {{60, 170, 70}}},
    {"cross", shapes_cross, {{230, 230, 230}}},     {"saltire", shapes_saltire, {{60, 80, 210}}},
    {"bars", shapes_bars, {{180, 70, 190}}},        {"posts", shapes_posts, {{130, 90, 50}}},
    {"checks", shapes_checks, {{40, 40, 40}}},      {"crescent", shapes_crescent, {{245, 140, 150}}},
};

/* One shape where it lies in the image. */
typedef struct shapes_mark {
    float       (*distance)(float x, float y);
    float         x, y, radius;                     /* pixels                                      */
    float         cosine, sine;
    shapes_colour colour;
} shapes_mark;

enum { SHAPES_MARKS = 3 };                          /* two of clutter, then the one that counts    */

typedef struct shapes_scene {
    shapes_colour corner, across, down;             /* the background: its value and two slopes    */
    shapes_mark   mark[SHAPES_MARKS];
} shapes_scene;

static shapes_colour shapes_near(uint64_t *stream, shapes_colour centre, float spread)
{
    for (int i = 0; i < 3; i++)
        centre.channel[i] += reel_train_uniform(stream, -spread, spread);
    return centre;
}

static shapes_scene shapes_compose(uint64_t *stream, const struct shapes_class *class)
{
    static const shapes_colour grey = {{128, 128, 128}}, flat = {{0, 0, 0}};
    shapes_scene scene = {.corner = shapes_near(stream, grey, 80),
                          .across = shapes_near(stream, flat, 2.5f),
                          .down = shapes_near(stream, flat, 2.5f)};
    for (int i = 0; i < SHAPES_MARKS; i++) {
        bool clutter = i < SHAPES_MARKS - 1;
        float place = clutter ? 14 : 6, tilt = reel_train_uniform(stream, -0.35f, 0.35f);
        float length = sqrtf(1 + tilt * tilt);
        scene.mark[i] = (shapes_mark){
            .distance = clutter ? shapes_disc : class->distance,
            .x = 15.5f + reel_train_uniform(stream, -place, place),
            .y = 15.5f + reel_train_uniform(stream, -place, place),
            .radius = clutter ? reel_train_uniform(stream, 2, 5) : reel_train_uniform(stream, 8, 14),
            .cosine = 1 / length,
            .sine = tilt / length,
            .colour = shapes_near(stream, clutter ? grey : class->typical, clutter ? 120 : 120),
        };
    }
    return scene;
}

static float shapes_clamp(float x, float low, float high)
{
    return x < low ? low : x > high ? high : x;
}

static float shapes_cover(const shapes_mark *mark, float x, float y)
{
    float dx = (x - mark->x) / mark->radius, dy = (y - mark->y) / mark->radius;
    float turned_x = mark->cosine * dx + mark->sine * dy, turned_y = mark->cosine * dy - mark->sine * dx;
    return shapes_clamp(0.5f - mark->radius * mark->distance(turned_x, turned_y), 0, 1);
}

static void shapes_pixel(const shapes_scene *scene, float x, float y, float value[3])
{
    for (int i = 0; i < 3; i++)
        value[i] = scene->corner.channel[i] + (x - 15.5f) * scene->across.channel[i] +
                   (y - 15.5f) * scene->down.channel[i];
    for (const shapes_mark *mark = scene->mark; mark < scene->mark + SHAPES_MARKS; mark++) {
        float cover = shapes_cover(mark, x, y);
        for (int i = 0; i < 3; i++)
            value[i] += cover * (mark->colour.channel[i] - value[i]);
    }
}

/* The noise is the sum of four bytes a colour, a bell of standard deviation 18 after scaling; one draw has
 * eight bytes, so two draws serve a pixel. */
static float shapes_noise(uint32_t four)
{
    int sum = (int)(four & 255) + (int)(four >> 8 & 255) + (int)(four >> 16 & 255) + (int)(four >> 24);
    return 0.122f * (float)(sum - 510);
}

static void shapes_draw(uint8_t *record, uint64_t stream, int label)
{
    shapes_scene scene = shapes_compose(&stream, &shapes_class[label]);
    record[0] = (uint8_t)label;
    for (int at = 0; at < REEL_IMAGE_PLANE; at++) {
        float value[3];
        shapes_pixel(&scene, (float)(at % REEL_IMAGE_SIDE), (float)(at / REEL_IMAGE_SIDE), value);
        uint64_t two = reel_train_draw(&stream);
        uint32_t noise[3] = {(uint32_t)two, (uint32_t)(two >> 32), (uint32_t)reel_train_draw(&stream)};
        for (int i = 0; i < 3; i++)
            record[1 + i * REEL_IMAGE_PLANE + at] =
                (uint8_t)shapes_clamp(value[i] + shapes_noise(noise[i]) + 0.5f, 0, 255);
    }
}

static bool shapes_fill(reel_image_data *data, reel_images *images, int64_t count, uint64_t seed,
                        uint64_t part)
{
    images->channels = 3;
    images->height = images->width = REEL_IMAGE_SIDE;
    uint8_t *record = count > 0 ? reel_images_grow(data, images, count) : NULL;
    if (count > 0 && !record)
        return false;
    for (int64_t i = 0; i < count; i++, record += REEL_IMAGE_RECORD)
        shapes_draw(record, reel_train_stream(seed, part, (uint64_t)i), (int)(i % REEL_IMAGE_CLASSES));
    images->count = count > 0 ? count : 0;
    return true;
}

bool reel_shapes_draw(reel_image_data *data, int64_t train, int64_t test, uint64_t seed)
{
    reel_image_data_free(data);
    if (!shapes_fill(data, &data->train, train, seed, 1) || !shapes_fill(data, &data->test, test, seed, 2)) {
        reel_image_data_empty(data);
        return false;
    }
    data->classes = REEL_IMAGE_CLASSES;
    for (int i = 0; i < REEL_IMAGE_CLASSES; i++)
        memcpy(data->class_name[i], shapes_class[i].name, strlen(shapes_class[i].name) + 1);
    return true;
}
