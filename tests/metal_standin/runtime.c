/* runtime.c - the Objective-C runtime: classes, selectors, references, pools, and finding a method. */
#include "standin.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- settings and violations ---- */

standin_settings standin_set = {
#define USUAL(name, usual, doc) .name = usual,
    STANDIN_SETTINGS(USUAL)
#undef USUAL
};
static bool collecting;
static long violations;
static char first_violation[512];

static pthread_mutex_t lock;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static bool set(const char *name, long value) {
#define SET(field, usual, doc) \
    if (strcmp(name, #field) == 0) { \
        standin_set.field = value; \
        return true; \
    }
    STANDIN_SETTINGS(SET)
#undef SET
    return false;
}

static void start(void) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
    const char *given = getenv("FOUNDRY_STANDIN");
    char name[64];
    long value;
    int used;
    while (given && sscanf(given, "%63[a-z_]=%ld%n", name, &value, &used) == 2) {
        if (!set(name, value)) fprintf(stderr, "metal stand-in: FOUNDRY_STANDIN: there is no setting %s\n", name);
        given += used;
        given += *given == ',';
    }
}

void standin_lock(void) {
    pthread_once(&once, start);
    pthread_mutex_lock(&lock);
}

void standin_unlock(void) { pthread_mutex_unlock(&lock); }

void standin_violation(const char *format, ...) {
    char text[512];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    standin_lock();
    if (violations++ == 0) snprintf(first_violation, sizeof first_violation, "%s", text);
    bool fatal = !collecting;
    standin_unlock();
    if (!fatal) return;
    fprintf(stderr, "metal stand-in: violation: %s\n", text);
    abort();
}

bool standin_hits(long *count) {
    standin_lock();
    bool hit = *count > 0 && --*count == 0;
    standin_unlock();
    return hit;
}

/* ---- classes ---- */

static void dealloc_nothing(object *self) { (void)self; }
#define DEALLOC(name) void dealloc_##name(object *self)
void dealloc_NSString(object *self);
void dealloc_NSError(object *self);
void dealloc_NSArray(object *self);
void dealloc_OS_dispatch_data(object *self);
void dealloc_MTLComputePipelineDescriptor(object *self);
void dealloc_StandinQueue(object *self);
void dealloc_StandinBuffer(object *self);
void dealloc_StandinLibrary(object *self);
void dealloc_StandinFunction(object *self);
void dealloc_StandinPipeline(object *self);
void dealloc_StandinCommands(object *self);
void dealloc_StandinCompute(object *self);
#define dealloc_NSObject          dealloc_nothing
#define dealloc_MTLCompileOptions dealloc_nothing
#define dealloc_StandinDevice     dealloc_nothing
#define dealloc_StandinBlit       dealloc_StandinCompute

#define META(class_name, type) static class_ meta_##class_name = { .base = { .magic = ALIVE, .references = 1 }, .name = #class_name };
STANDIN_CLASSES(META)
#define CLASS(class_name, type) \
    class_ class_##class_name = { .base = { .isa = &meta_##class_name, .magic = ALIVE, .references = 1 }, \
                                  .name = #class_name, \
                                  .dealloc = dealloc_##class_name, \
                                  .bytes = sizeof(type) };
STANDIN_CLASSES(CLASS)

static class_ *const classes[] = {
#define LISTED(name, type) &class_##name,
    STANDIN_CLASSES(LISTED)
#undef LISTED
};
enum { CLASS_COUNT = sizeof classes / sizeof *classes };

STANDIN_EXPORT object *objc_getClass(const char *name);
STANDIN_EXPORT object *objc_getClass(const char *name) {
    for (size_t i = 0; i < CLASS_COUNT; i++) {
        if (strcmp(classes[i]->name, name) == 0 && strncmp(name, "Standin", 7) != 0) return &classes[i]->base;
    }
    return NULL;
}

/* ---- selectors and methods ---- */

struct selector {
    struct selector *next;
    char name[];
};
static struct selector *selectors;

STANDIN_EXPORT selector sel_registerName(const char *name);
STANDIN_EXPORT selector sel_registerName(const char *name) {
    standin_lock();
    struct selector *s = selectors;
    while (s && strcmp(s->name, name) != 0) s = s->next;
    if (!s) {
        s = malloc(sizeof *s + strlen(name) + 1);
        if (!s) abort();
        strcpy(s->name, name);
        s->next = selectors;
        selectors = s;
    }
    standin_unlock();
    return s;
}

struct method {
    const char *of, *name, *encoding;
    void (*function)(void);
};

#include "selectors.h"
#define DECLARED(of, name, encoding, function) void function(void);
/* Declared here without their types, which are those of their definitions: only their addresses are used. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wredundant-decls"
STANDIN_METHODS(DECLARED)
#pragma GCC diagnostic pop
static const method methods[] = {
#define ROW(of, name, encoding, function) { #of, name, encoding, function },
    STANDIN_METHODS(ROW)
#undef ROW
};
enum { METHOD_COUNT = sizeof methods / sizeof *methods };

static const method *find_in(const char *class_name, bool of_class, const char *name) {
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        const method *m = &methods[i];
        bool plus = m->of[0] == '+';
        const char *of = plus ? m->of + 1 : m->of;
        while (*of == ' ') of++;
        if (plus == of_class && strcmp(of, class_name) == 0 && strcmp(m->name, name) == 0) return m;
    }
    return NULL;
}

static bool is_meta(const class_ *c) { return c->bytes == 0; }

/* A class's own, or NSObject's. */
static const method *find_method(const class_ *c, const char *name) {
    const method *m = find_in(c->name, is_meta(c), name);
    return m ? m : find_in("NSObject", is_meta(c), name);
}

STANDIN_EXPORT object *object_getClass(object *o);
STANDIN_EXPORT object *object_getClass(object *o) { return o ? &o->isa->base : NULL; }
STANDIN_EXPORT const char *class_getName(object *c);
STANDIN_EXPORT const char *class_getName(object *c) { return c ? ((class_ *)(void *)c)->name : "nil"; }
STANDIN_EXPORT const method *class_getInstanceMethod(object *c, selector s);
STANDIN_EXPORT const method *class_getInstanceMethod(object *c, selector s) { return c && s ? find_method((class_ *)(void *)c, s->name) : NULL; }
STANDIN_EXPORT const char *method_getTypeEncoding(const method *m);
STANDIN_EXPORT const char *method_getTypeEncoding(const method *m) {
    if (m && standin_set.wrong_encoding && strcmp(m->name, "setBuffer:offset:atIndex:") == 0) return "v32@0:8@16I24I28";
    if (m && standin_set.wrong_encoding > 1 && strcmp(m->name, "commit") == 0) return "B16@0:8";
    return m ? m->encoding : NULL;
}

static void answer_nil(void) {}

/* What objc_msgSend jumps to. */
void (*standin_lookup(object *self, selector s))(void);
void (*standin_lookup(object *self, selector s))(void) {
    if (!self) return answer_nil;
    if (!s) {
        standin_violation("a message without a selector");
        return answer_nil;
    }
    if (self->magic != ALIVE) {
        standin_violation("%s is sent to %s", s->name, self->magic == DEAD ? "an object that was freed" : "something that is no object");
        return answer_nil;
    }
    const method *m = find_method(self->isa, s->name);
    if (m) return m->function;
    standin_violation("%s%s does not answer %s", is_meta(self->isa) ? "the class " : "", self->isa->name, s->name);
    return answer_nil;
}

/* ---- objects ---- */

static object all = { .next = &all, .previous = &all };
static long live;
static object *dead; /* kept: nothing else is ever at their addresses */

object *standin_new(class_ *of) {
    object *o = calloc(1, of->bytes);
    if (!o) abort();
    standin_lock();
    *o = (object){ .isa = of, .magic = ALIVE, .references = 1, .next = all.next, .previous = &all };
    all.next->previous = o;
    all.next = o;
    live++;
    standin_unlock();
    return o;
}

static bool is_class(const object *o) { return !o->next; }

object *standin_retain(object *o) {
    if (!o) return NULL;
    standin_lock();
    if (o->magic != ALIVE) standin_violation("retain of an object that was freed");
    if (!is_class(o)) o->references++;
    standin_unlock();
    return o;
}

/* Freed objects are never used again for others, so that late messages are noticed. */
void standin_release(object *o) {
    if (!o) return;
    standin_lock();
    if (o->magic != ALIVE) {
        standin_violation("release of an object that was freed");
    } else if (!is_class(o) && --o->references == 0) {
        o->isa->dealloc(o);
        o->magic = DEAD;
        o->next->previous = o->previous;
        o->previous->next = o->next;
        o->next = dead;
        dead = o;
        live--;
    }
    standin_unlock();
}

bool standin_is(object *o, const class_ *of, const char *what) {
    if (!o) {
        standin_violation("%s: nil where %s is needed", what, of->name);
        return false;
    }
    if (o->magic == ALIVE && o->isa == of) return true;
    standin_violation("%s: %s where %s is needed", what, o->magic == ALIVE ? o->isa->name : "a freed object", of->name);
    return false;
}

/* ---- autorelease pools: a stack in every thread, a mark for every pool ---- */

enum { POOL_CAPACITY = 1 << 16 };
static _Thread_local object **pool;
static _Thread_local size_t pool_used;

STANDIN_EXPORT void *objc_autoreleasePoolPush(void);
STANDIN_EXPORT void *objc_autoreleasePoolPush(void) {
    if (!pool) pool = calloc(POOL_CAPACITY, sizeof(object *));
    if (!pool || pool_used == POOL_CAPACITY) {
        standin_violation("%d objects in autorelease pools", POOL_CAPACITY);
        return NULL;
    }
    pool[pool_used++] = NULL;
    return &pool[pool_used - 1];
}

STANDIN_EXPORT void objc_autoreleasePoolPop(void *mark);
STANDIN_EXPORT void objc_autoreleasePoolPop(void *mark) {
    object **at = mark;
    if (!pool || at < pool || at >= pool + pool_used || *at) {
        standin_violation("objc_autoreleasePoolPop of what is no pool of this thread, or was popped");
        return;
    }
    while (&pool[pool_used - 1] != at) {
        object *o = pool[--pool_used];
        if (o) standin_release(o);
    }
    if (--pool_used == 0) {
        free(pool);
        pool = NULL;
    }
}

object *standin_autorelease(object *o) {
    if (!o) return NULL;
    if (!pool || !pool_used)
        standin_violation("%s is autoreleased with no pool in place: it leaks", o->isa->name);
    else if (pool_used == POOL_CAPACITY)
        standin_violation("%d objects in autorelease pools", POOL_CAPACITY);
    else
        pool[pool_used++] = o;
    return o;
}

/* ---- what tests ask ---- */

static long count_live(char *out, size_t bytes) {
    size_t used = 0;
    for (object *o = all.next; o != &all; o = o->next) {
        if (used + 1 < bytes) used += (size_t)snprintf(out + used, bytes - used, "%s%s (%d)", used ? ", " : "", o->isa->name, o->references);
    }
    return live;
}

long standin_control(const char *request, char *out, size_t bytes) {
    char name[64];
    long value = -1;
    if (bytes) out[0] = '\0';
    if (strcmp(request, "live") == 0) standin_wait_idle();
    standin_lock();
    if (sscanf(request, "set %63[a-z_] %ld", name, &value) == 2)
        value = set(name, value) ? 0 : -1;
    else if (strcmp(request, "reset") == 0)
        value = 0, standin_set = (standin_settings){
#define USUAL(field, usual, doc) .field = usual,
            STANDIN_SETTINGS(USUAL)
#undef USUAL
        };
    else if (strcmp(request, "live") == 0)
        value = count_live(out, bytes);
    else if (strcmp(request, "collect") == 0 || strcmp(request, "fatal") == 0)
        value = violations = 0, collecting = request[0] == 'c';
    else if (strcmp(request, "violations") == 0)
        value = violations, snprintf(out, bytes, "%s", violations ? first_violation : "");
#define COUNTER(name, doc) \
    else if (strcmp(request, #name) == 0) value = atomic_load(&standin_count.name);
    STANDIN_COUNTERS(COUNTER)
#undef COUNTER
    else if (strcmp(request, "in_flight") == 0)
        value = atomic_exchange(&standin_most_in_flight, 0);
    else if (strcmp(request, "label") == 0)
        value = 0,
        snprintf(out, bytes, "%s", standin_last_label);
    else if (strcmp(request, "group") == 0)
        value = 0,
        snprintf(out, bytes, "%s", standin_last_group);
    standin_unlock();
    return value;
}
