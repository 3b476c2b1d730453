/* text.c - from a preprocessed Metal text to one that the simulator can run.
 *
 * Two things are added to the text, and nothing of it is left out but, with checks, the wish that loops be
 * unrolled: that would make twice the code to compile. A threadgroup array of the kernel becomes a
 * pointer to memory of the simulator, which knows its size and that it is new for every group. And behind the
 * text stands an entry point that takes what the simulator gives and calls the kernel with it: buffers by their
 * numbers, and what the thread knows of itself by the attributes of the parameters. */
#include "standin.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct buffer {
    char *data;
    size_t used, capacity;
} buffer;

static void put(buffer *b, const char *text, size_t bytes) {
    while (b->used + bytes + 1 > b->capacity) {
        b->capacity = b->capacity ? 2 * b->capacity : 4096;
        b->data = realloc(b->data, b->capacity);
        if (!b->data) abort();
    }
    memcpy(b->data + b->used, text, bytes);
    b->used += bytes;
    b->data[b->used] = '\0';
}

__attribute__((format(printf, 2, 3))) static void print(buffer *b, const char *format, ...) {
    char text[1024];
    __builtin_va_list list;
    __builtin_va_start(list, format);
    int length = vsnprintf(text, sizeof text, format, list);
    __builtin_va_end(list);
    if (length < 0 || (size_t)length >= sizeof text) abort();
    put(b, text, (size_t)length);
}

static bool is_word(char c) { return isalnum((unsigned char)c) || c == '_'; }

/* The next place of a word in [at, end), or NULL. */
static const char *find_word(const char *at, const char *end, const char *word) {
    size_t length = strlen(word);
    for (const char *p = at; (p = strstr(p, word)) && p < end; p += length) {
        if ((p == at || !is_word(p[-1])) && !is_word(p[length])) return p;
    }
    return NULL;
}

static const char *skip_space(const char *p) {
    for (;; p++) {
        if (*p == '#') p += strcspn(p, "\n"); /* a line marker */
        if (!isspace((unsigned char)*p)) return p;
    }
}

/* Behind the bracket that closes the one at p. */
static const char *behind_bracket(const char *p) {
    int depth = 0;
    for (; *p; p++) {
        depth += *p == '(' || *p == '{' || *p == '[';
        depth -= *p == ')' || *p == '}' || *p == ']';
        if (depth == 0) return p + 1;
    }
    return p;
}

/* ---- parameters ---- */

typedef struct parsed {
    parameter p;
    char type[256];    /* as written, without the name */
    const char *value; /* of what is no buffer */
} parsed;

static const struct {
    const char *attribute, *value;
} known[] = {
    { "threadgroup_position_in_grid", "t[0]" },
    { "threadgroups_per_grid", "t[1]" },
    { "simdgroup_index_in_threadgroup", "t[2]" },
    { "thread_index_in_simdgroup", "t[3]" },
    { "thread_index_in_threadgroup", "(t[2] * 32 + t[3])" },
    { "thread_position_in_threadgroup", "(t[2] * 32 + t[3])" },
};

/* What an offset must be a multiple of. Types that are not here have the alignment of bytes. */
static uint32_t alignment_of(const char *type) {
    static const struct {
        const char *name;
        uint32_t alignment;
    } types[] = { { "f32", 4 }, { "u32", 4 }, { "i32", 4 }, { "float", 4 }, { "int", 4 }, { "uint", 4 }, { "u64", 8 }, { "f16", 2 }, { "bf16", 2 }, { "u16", 2 }, { "i16", 2 }, { "half", 2 } };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (find_word(type, type + strlen(type), types[i].name)) return types[i].alignment;
    }
    return 1;
}

static bool parse_parameter(const char *from, const char *end, uint32_t *next_buffer, parsed *out) {
    char text[512];
    size_t length = (size_t)(end - from);
    *out = (parsed){ .value = NULL };
    if (length >= sizeof text) return false;
    memcpy(text, from, length);
    text[length] = '\0';
    for (char *p = text; *p; p++) {
        if (isspace((unsigned char)*p)) *p = ' ';
    }
    char *attribute = strstr(text, "[[");
    if (attribute) {
        unsigned index;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
            if (find_word(attribute, attribute + strlen(attribute), known[i].attribute)) out->value = known[i].value;
        }
        if (sscanf(attribute, "[[buffer(%u)]]", &index) == 1)
            *next_buffer = index;
        else if (!out->value)
            return false; /* an attribute that is not known here */
        *attribute = '\0';
    }
    char *last = text + strlen(text);
    while (last > text && !is_word(last[-1])) *--last = '\0';
    while (last > text && is_word(last[-1])) last--;
    if (!*last || strlen(last) >= NAME_BYTES || last - text >= (long)sizeof out->type) return false;
    strcpy(out->p.name, last);
    *last = '\0';
    snprintf(out->type, sizeof out->type, "%.255s", text);
    bool is_device = strstr(text, "__global"), is_constant = strstr(text, "__constant");
    out->p.is_buffer = !out->value;
    if (out->value) return !strchr(text, '*');
    out->p.is_constant = is_constant;
    out->p.is_const = find_word(text, text + strlen(text), "const") != NULL;
    out->p.index = (*next_buffer)++;
    out->p.alignment = alignment_of(text);
    return (is_device || is_constant) && strchr(text, '*') && out->p.index < MAX_BUFFERS;
}

/* ---- arrays of the group ---- */

/* `__local T name[count] attributes;` at `at`: the pointer in its place, and how many bytes it is. */
static const char *rewrite_array(const char *at, unsigned slot, buffer *out, buffer *sizes) {
    const char *end = strchr(at, ';'), *bracket = end ? memchr(at, '[', (size_t)(end - at)) : NULL;
    if (!bracket || memchr(at, '*', (size_t)(bracket - at)) || memchr(at, '=', (size_t)(end - at))) return NULL;
    const char *type = at + strlen("__local"), *name_end = bracket, *name, *close = behind_bracket(bracket) - 1;
    while (isspace((unsigned char)name_end[-1])) name_end--;
    for (name = name_end; is_word(name[-1]);) name--;
    if (name <= type) return NULL;
    int type_bytes = (int)(name - type), name_bytes = (int)(name_end - name), count_bytes = (int)(close - bracket - 1);
    print(out, "__local %.*s*%.*s = (__local %.*s*)standin_group_array(%u, sizeof(%.*s) * (%.*s));", type_bytes, type, name_bytes, name, type_bytes, type, slot, type_bytes, type, count_bytes, bracket + 1);
    print(sizes, " + (sizeof(%.*s) * (%.*s) + 15) / 16 * 16", type_bytes, type, count_bytes, bracket + 1);
    return end + 1;
}

static void rewrite_body(const char *at, const char *end, buffer *out, buffer *sizes) {
    unsigned slot = 0;
    char before = '{';
    while (at < end) {
        const char *behind = (before == '{' || before == ';') && strncmp(at, "__local", 7) == 0 && !is_word(at[7]) ? rewrite_array(at, slot, out, sizes) : NULL;
        if (behind) {
            slot++;
            at = behind;
            before = ';';
            continue;
        }
        if (!isspace((unsigned char)*at)) before = *at;
        put(out, at++, 1);
    }
}

/* ---- the text ---- */

static bool find_kernel(const char *text, const char **name, size_t *name_bytes, const char **open) {
    const char *end = text + strlen(text), *p = find_word(text, end, "__kernel");
    if (!p) return false;
    p = skip_space(p + strlen("__kernel"));
    if (strncmp(p, "void", 4) != 0) return false;
    *name = p = skip_space(p + 4);
    while (is_word(*p)) p++;
    *name_bytes = (size_t)(p - *name);
    *open = skip_space(p);
    return **open == '(' && *name_bytes && *name_bytes < NAME_BYTES;
}

static void add_entry(const char *name, size_t name_bytes, const parsed *list, size_t count, const char *sizes, buffer *out) {
    print(out, "\nextern \"C\" unsigned standin_group_bytes() { return 0%s; }\n", sizes ? sizes : "");
    put(out, "extern \"C\" void standin_entry(unsigned long args, unsigned long self) {\n", strlen("extern \"C\" void standin_entry(unsigned long args, unsigned long self) {\n"));
    print(out, "    const __global unsigned long *a = (const __global unsigned long *)args;\n    const __global unsigned *t = (const __global unsigned *)self;\n    (void)a, (void)t;\n    %.*s(", (int)name_bytes, name);
    for (size_t i = 0; i < count; i++) {
        const char *comma = i ? ", " : "";
        if (list[i].p.is_buffer)
            print(out, "%s(%s)a[%u]", comma, list[i].type, list[i].p.index);
        else
            print(out, "%s(%s)%s", comma, list[i].type, list[i].value);
    }
    print(out, ");\n}\n");
}

void standin_roll_loops(char *metal) {
    static const char wish[] = "#pragma unroll";
    for (char *p = metal; (p = strstr(p, wish));) memset(p, ' ', sizeof wish - 1);
}

bool standin_rewrite(const char *metal, char **text, char **entry, char *says, size_t bytes) {
    const char *name, *open, *start = metal;
    size_t name_bytes, count = 0;
    static _Thread_local parsed list[MAX_BUFFERS + 8];
    uint32_t next_buffer = 0;
    buffer out = { 0 }, sizes = { 0 };
    if (!find_kernel(metal, &name, &name_bytes, &open)) {
        snprintf(says, bytes, "program_source:1:1: error: the stand-in finds no kernel function in the text\n");
        return false;
    }
    const char *close = behind_bracket(open) - 1, *body = skip_space(close + 1), *end = behind_bracket(body);
    for (const char *at = open + 1, *stop; at < close; at = stop + 1) {
        for (stop = at; stop < close && *stop != ',';) stop = *stop == '(' || *stop == '[' ? behind_bracket(stop) : stop + 1;
        if (count == sizeof list / sizeof *list || !parse_parameter(skip_space(at), stop, &next_buffer, &list[count])) {
            snprintf(says, bytes, "program_source:1:1: error: the stand-in does not know what to pass for '%.*s'\n", (int)(stop - at), at);
            return false;
        }
        count++;
    }
    put(&out, "extern \"C\" __local void *standin_group_array(unsigned slot, unsigned bytes);\n", strlen("extern \"C\" __local void *standin_group_array(unsigned slot, unsigned bytes);\n"));
    put(&out, start, (size_t)(body + 1 - start));
    rewrite_body(body + 1, end, &out, &sizes);
    put(&out, end, strlen(end));
    add_entry(name, name_bytes, list, count, sizes.data, &out);
    /* What the parameters are stands in the machine code, for whoever loads it. */
    print(&out, "__asm__(\".section .rodata\\n.globl standin_parameters\\nstandin_parameters: .ascii \\\"%.*s\\\"\\n", (int)name_bytes, name);
    for (size_t i = 0; i < count; i++) {
        const parameter *p = &list[i].p;
        if (p->is_buffer) print(&out, ".ascii \\\";%s %u %u %d %d\\\"\\n", p->name, p->index, p->alignment, p->is_constant, p->is_const);
    }
    print(&out, ".byte 0\\n.text\");\n");
    free(sizes.data);
    *text = out.data;
    *entry = strndup(name, name_bytes);
    return true;
}
