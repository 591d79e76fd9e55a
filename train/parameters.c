/* A model's parameters by name, and saving and loading them. */
#include "train/file.h"

#include <stdio.h>
#include <string.h>

enum { PARAMETERS_ALIGNMENT = 64, PARAMETERS_LINE = 256 };

/* ---- The list ------------------------------------------------------------------------------------ */

static reel_parameter *parameters_get(const reel_parameters *p, const char *name)
{
    for (size_t i = 0; i < p->count; i++)
        if (strcmp(p->parameter[i].name, name) == 0)
            return &p->parameter[i];
    return NULL;
}

/* The list of what is trained, anew. */
static void parameters_list(reel_parameters *p)
{
    size_t count = 0;
    for (size_t i = 0; i < p->count; i++)
        if (!p->parameter[i].state && !p->parameter[i].frozen)
            p->list[count++] = p->parameter[i].tensor;
    p->trained = reel_tensors_of(p->list, count);
}

static size_t parameters_bytes(size_t room)
{
    return room * (sizeof(reel_parameter) + sizeof(reel_tensor));
}

/* The list lies behind the parameters, in the same memory. */
static bool parameters_make_room(reel_parameters *p)
{
    if (p->count < p->room)
        return true;
    size_t room = p->room ? 2 * p->room : 16;
    reel_parameter *parameter =
        reel_train_resize(p->allocator, p->allocator_user, NULL, 0, parameters_bytes(room));
    if (!parameter)
        return false;
    if (p->count)
        memcpy(parameter, p->parameter, p->count * sizeof *parameter);
    reel_train_release(p->allocator, p->allocator_user, p->parameter, parameters_bytes(p->room));
    p->parameter = parameter;
    p->list = (reel_tensor *)(parameter + room);
    p->room = room;
    parameters_list(p);
    return true;
}

static bool parameters_check(reel_parameters *p, const char *name, reel_tensor tensor)
{
    size_t length = strlen(name), bad;
    if (!reel_is_valid(tensor) || reel_failed(tensor.tape))
        return reel_train_fail(p->error, "the parameter \"%.100s\" is no tensor on a tape without an error",
                               name);
    if (length == 0 || length >= REEL_PARAMETER_NAME || !reel_is_utf8(name, length, &bad))
        return reel_train_fail(p->error, "\"%.100s\" is not a name of 1 to %d bytes of UTF-8", name,
                               REEL_PARAMETER_NAME - 1);
    if (parameters_get(p, name))
        return reel_train_fail(p->error, "there are two parameters \"%s\"", name);
    return true;
}

static reel_tensor parameters_add(REEL_PLACE, reel_parameters *p, const char *name, reel_tensor tensor,
                                  bool state)
{
    bool good = parameters_check(p, name, tensor);
    if (good && !parameters_make_room(p))
        good = reel_train_fail(p->error, "no memory for the parameter \"%s\"", name);
    if (good) {
        reel_name(tensor, name);
        if (reel_failed(tensor.tape))
            good = reel_train_fail(p->error, "%s", reel_error_message(tensor.tape));
    }
    if (!good) {
        if (!reel_failed(tensor.tape))
            reel_error_set_at(file, line, tensor.tape, "%s", p->error);
        return (reel_tensor){tensor.tape, 0, 0};
    }
    reel_parameter *parameter = &p->parameter[p->count++];
    *parameter = (reel_parameter){.tensor = tensor, .state = state};
    memcpy(parameter->name, name, strlen(name) + 1);
    parameters_list(p);
    return tensor;
}

reel_tensor reel_parameters_add_at(REEL_PLACE, reel_parameters *parameters, const char *name,
                                   reel_tensor tensor)
{
    return parameters_add(file, line, parameters, name, tensor, false);
}

reel_tensor reel_parameters_add_state_at(REEL_PLACE, reel_parameters *parameters, const char *name,
                                         reel_tensor tensor)
{
    return parameters_add(file, line, parameters, name, tensor, true);
}

reel_tensor reel_parameters_find(const reel_parameters *parameters, const char *name)
{
    const reel_parameter *found = parameters_get(parameters, name);
    return found ? found->tensor : REEL_NONE;
}

int64_t reel_parameters_elements(const reel_parameters *parameters)
{
    int64_t elements = 0;
    for (size_t i = 0; i < parameters->trained.count; i++)
        elements += reel_count(parameters->trained.tensor[i]);
    return elements;
}

size_t reel_parameters_freeze(reel_parameters *parameters, const char *prefix, bool frozen)
{
    size_t count = 0;
    for (size_t i = 0; i < parameters->count; i++)
        if (strncmp(parameters->parameter[i].name, prefix, strlen(prefix)) == 0) {
            parameters->parameter[i].frozen = frozen;
            count++;
        }
    if (count)
        parameters_list(parameters);
    return count;
}

void reel_parameters_free(reel_parameters *parameters)
{
    reel_train_release(parameters->allocator, parameters->allocator_user, parameters->parameter,
                       parameters_bytes(parameters->room));
    parameters->parameter = NULL;
    parameters->list = NULL;
    parameters->count = parameters->room = 0;
    parameters->trained = reel_tensors_of(NULL, 0);
    parameters->error[0] = 0;
}

/* ---- Printing ------------------------------------------------------------------------------------ */

static bool parameters_put(const reel_io *io, const char *text, size_t bytes)
{
    while (bytes > 0) {
        int64_t put = io->write(io->user, 1, text, bytes);
        if (put <= 0)
            return false;
        text += put;
        bytes -= (size_t)put;
    }
    return true;
}

bool reel_parameters_print(const reel_parameters *parameters, const reel_io *io)
{
    reel_io table = reel_io_complete(io);
    for (size_t i = 0; i < parameters->count; i++) {
        const reel_parameter *p = &parameters->parameter[i];
        const char *mark = p->state ? "  state" : p->frozen ? "  frozen" : "";
        char line[PARAMETERS_LINE];
        int length = snprintf(line, sizeof line, "%s  %lld%s\n", reel_describe(p->tensor).text,
                              (long long)reel_count(p->tensor), mark);
        if (!parameters_put(&table, line, (size_t)length))
            return false;
    }
    return true;
}

/* ---- Saving -------------------------------------------------------------------------------------- */

static size_t parameters_rounded(size_t bytes)
{
    return (bytes + PARAMETERS_ALIGNMENT - 1) / PARAMETERS_ALIGNMENT * PARAMETERS_ALIGNMENT;
}

/* Whether the numbers lie on the tape as they will in the file. */
static bool parameters_in_order(reel_tensor x)
{
    reel_shape shape = reel_shape_of(x);
    int64_t strides[REEL_MAX_RANK], stride = 1;
    reel_strides_of(x, strides);
    for (int i = shape.rank; i-- > 0; stride *= shape.size[i])
        if (shape.size[i] > 1 && strides[i] != stride)
            return false;
    return true;
}

static size_t parameters_size(reel_tensor x)
{
    return (size_t)reel_count(x) * reel_dtype_size(reel_dtype_of(x));
}

/* `room` has place for the numbers of those that lie otherwise. */
static bool parameters_store(const reel_parameters *p, reel_stored_tensor *stored, char *room)
{
    for (size_t i = 0; i < p->count; i++) {
        reel_tensor x = p->parameter[i].tensor;
        stored[i] = (reel_stored_tensor){.name = p->parameter[i].name, .dtype = reel_dtype_of(x),
                                         .shape = reel_shape_of(x), .data = (void *)reel_data(x)};
        if (parameters_in_order(x))
            continue;
        stored[i].data = room;
        if (!reel_read(x, room, parameters_size(x)))
            return false;
        room += parameters_rounded(parameters_size(x));
    }
    return true;
}

bool reel_parameters_save(reel_parameters *parameters, const char *path, const reel_io *io)
{
    size_t tensors = parameters_rounded((parameters->count + 1) * sizeof(reel_stored_tensor));
    size_t bytes = tensors;
    for (size_t i = 0; i < parameters->count; i++) {
        reel_tensor x = parameters->parameter[i].tensor;
        if (!reel_is_valid(x))
            return reel_train_fail(parameters->error, "\"%s\" is not on its tape any more",
                                   parameters->parameter[i].name);
        bytes += parameters_in_order(x) ? 0 : parameters_rounded(parameters_size(x));
    }
    void *memory = reel_train_resize(parameters->allocator, parameters->allocator_user, NULL, 0, bytes);
    if (!memory)
        return reel_train_fail(parameters->error, "no memory to save the parameters: %zu bytes", bytes);
    reel_safetensors object = {.tensor = memory, .tensors = parameters->count,
                               .allocator = parameters->allocator, .allocator_user = parameters->allocator_user};
    bool good = parameters_store(parameters, memory, (char *)memory + tensors);
    if (!good)
        reel_train_fail(object.error, "%s", reel_error_message(parameters->parameter[0].tensor.tape));
    good = good && reel_safetensors_write(&object, path, io);
    memcpy(parameters->error, object.error, sizeof parameters->error);
    reel_train_release(parameters->allocator, parameters->allocator_user, memory, bytes);
    return good;
}

/* ---- Loading ------------------------------------------------------------------------------------- */

static bool parameters_same_shape(reel_shape a, reel_shape b)
{
    return a.rank == b.rank &&
           (a.rank == 0 || memcmp(a.size, b.size, (size_t)a.rank * sizeof a.size[0]) == 0);
}

static bool parameters_fit(reel_parameters *p, const reel_safetensors *object, const char *path)
{
    reel_file file = {.path = path, .error = p->error};
    for (size_t i = 0; i < p->count; i++) {
        reel_tensor x = p->parameter[i].tensor;
        const reel_stored_tensor *stored = reel_safetensors_find(object, p->parameter[i].name);
        if (!stored && p->partial)
            continue;
        if (!stored)
            return reel_file_fail(&file, -1, "there is no \"%s\" in it", p->parameter[i].name);
        if (!reel_is_valid(x) || reel_failed(x.tape))
            return reel_train_fail(p->error, "\"%s\" is not on its tape any more, or that has failed",
                                   p->parameter[i].name);
        if (stored->dtype != reel_dtype_of(x) || !parameters_same_shape(stored->shape, reel_shape_of(x)))
            return reel_file_fail(&file, -1, "its \"%s\" has another dtype (%s) or shape than %s",
                                  stored->name, reel_dtype_name(stored->dtype), reel_describe(x).text);
    }
    for (size_t i = 0; i < object->tensors && !p->partial; i++)
        if (!parameters_get(p, object->tensor[i].name))
            return reel_file_fail(&file, -1, "\"%.90s\" is not among the parameters", object->tensor[i].name);
    return true;
}

static bool parameters_write(reel_parameters *p, const reel_safetensors *object)
{
    for (size_t i = 0; i < p->count; i++) {
        reel_tensor x = p->parameter[i].tensor;
        const reel_stored_tensor *stored = reel_safetensors_find(object, p->parameter[i].name);
        if (stored && !reel_write(x, reel_values_of(stored->dtype, stored->data, (size_t)stored->count)))
            return reel_train_fail(p->error, "%s", reel_error_message(x.tape));
    }
    return true;
}

bool reel_parameters_load(reel_parameters *parameters, const char *path, const reel_io *io)
{
    reel_safetensors object = {.allocator = parameters->allocator,
                               .allocator_user = parameters->allocator_user};
    bool good = reel_safetensors_read(&object, path, io);
    memcpy(parameters->error, object.error, sizeof parameters->error);
    good = good && parameters_fit(parameters, &object, path) && parameters_write(parameters, &object);
    reel_safetensors_free(&object);
    return good;
}
