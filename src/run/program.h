/* program.h - the inside of a program. */
#ifndef RUN_PROGRAM_H
#define RUN_PROGRAM_H

#include "compose/program.h"
#include "run/dispatch.h"

typedef struct fnd_call {
    fnd_bound bound;
    uint32_t  variant; /* index into variants */
    int       layer;
    bool      barrier; /* before it */
    uint32_t  at;      /* of its arguments in the table */
    void     *baked;   /* its kernel in the library, when it runs alone and there is one */
    uint8_t   slots[FND_MAX_VARIABLES]; /* of the program's variables; FND_NO_SLOT: it has none */
    uint32_t  late_rules;               /* that variables or growing change: checked before a run */
} fnd_call;
enum { FND_NO_SLOT = 255 };

/* A variable: where its copies stand in the table. */
typedef struct fnd_variable {
    char      name[FND_NAME_BYTES];
    uint32_t *at;
    uint32_t  count, capacity, value;
    uint64_t  limit; /* of a dimension: what was bound; 0 for a number */
} fnd_variable;

/* A tensor that lives only while the program runs: where it was before placing, and where it is. */
typedef struct fnd_temporary {
    uint64_t asked_at, bytes, at;
} fnd_temporary;

/* One launch: calls first .. first + count - 1. */
typedef struct fnd_segment {
    uint32_t first, count;
    void    *code;
    bool     is_program; /* compiled from a program's text, not a kernel's */
    uint32_t at, bytes; /* its part of the table */
    uint32_t warps;     /* of a group */
    uint32_t values_at; /* of a single call: where its numbers begin in there */
    size_t   own_scratch_bytes, shared_scratch_bytes;
    size_t   ring_bytes; /* of its weight stream, at least; 0: it has none */
    fnd_traffic traffic;
    char     label[FND_NAME_BYTES + 16];
} fnd_segment;

struct fnd_program {
    foundry        *f;
    char            name[FND_NAME_BYTES];
    fnd_program_form form;       /* never AUTO */
    bool            asked;       /* for this form and no other */
    bool            separate;    /* a launch for every call */
    bool            finished, failed;
    bool            unchecked;   /* a variable was set since the rules were checked */
    bool            steps;       /* every row as it is alone */
    bool            only_baked;  /* every call must find its kernel in the library */
    uint32_t        drop_barrier;
    int             layer;
    bool            behind_layers; /* there were layers, and they have ended */
    fnd_call       *calls;
    uint32_t        call_count, call_capacity;
    bool            stands_in;    /* its calls are copies: tensors and numbers belong to another program */
    fnd_bound_numbers **numbers;  /* of all calls, each once */
    uint32_t        numbers_count;
    fnd_variant   **variants;
    uint32_t        variant_count;
    fnd_variable    variables[FND_MAX_VARIABLES];
    uint32_t        variable_count;
    uint8_t        *table;
    uint32_t        table_bytes, barriers, layers;
    fnd_segment    *segments;
    uint32_t        segment_count;
    fnd_graph       graph;        /* of all segments, where the form is that */
    fnd_launch_buffer *buffers;   /* of all calls, one behind the other */
    size_t         *first_buffer; /* of each call, and behind the last */
    bool            stages;       /* its calls are timed one by one within it; only where it is one function */
    fnd_dedicated   stamps;       /* [groups][..] clocks of the last run; rank 0: none */
    fnd_text        text;
    const char     *suffix; /* which texts it is flattened from */
    fnd_dedicated   arena; /* of the temporaries; rank 0: none */
    fnd_temporary  *temporaries;
    uint32_t        temporary_count;
    uint64_t        temporary_bytes;

    /* While the whole is being compiled, the same calls run from the library. */
    fnd_program    *meanwhile;
    pthread_t       compiler;
    bool            compiling;   /* the thread was started and not yet joined */
    _Atomic bool    compiled;    /* it is done */
    _Atomic bool    unwanted;    /* the program goes: compiling ends, or does not begin */
    fnd_process_stop stop;       /* the compiler's, in the background */
    /* The thread's own until it is joined; of the program it only reads name, text and suffix. */
    void           *compiled_code;
    fnd_status      compile_status;
    fnd_error       compile_error;
};

/* program_plan.c: which calls must wait for which. Sets call.barrier, p->barriers. */
void fnd_program_derive_barriers(fnd_program *p);
/* Does one write what the other touches? */
bool fnd_calls_depend(const fnd_call *a, const fnd_call *b);
/* program_schedule.c: every call comes behind a barrier or launch that follows all calls it depends on, wherever their
 * tensors have been placed; where `text` is given, the function that will be printed has these calls and barriers and
 * no others, so that all groups meet as often. */
FND_USE_RESULT fnd_status fnd_program_check_schedule(const fnd_program *p, const fnd_program_text *text, fnd_error *err);
/* program_plan.c: variants with constants folded; call.variant. */
FND_USE_RESULT fnd_status fnd_program_fold(fnd_program *p, fnd_error *err);
/* program_build.c: calls that read tiles and calls whose weights only portable texts read cannot be
 * one text, and run as separate launches. The table; text and code. */
FND_USE_RESULT fnd_status fnd_program_choose_texts(fnd_program *p, fnd_error *err);
FND_USE_RESULT fnd_status fnd_program_fill_table(fnd_program *p, fnd_error *err);
FND_USE_RESULT fnd_status fnd_program_compile(fnd_program *p, bool only_if_there, fnd_error *err);
/* What fnd_program_compile could not find of a whole program: from another thread, while the program runs. */
FND_USE_RESULT fnd_status fnd_program_compile_printed(const fnd_program *p, fnd_process_stop *stop, void **code, fnd_error *err);
/* program_meanwhile.c: find, or compile, the code of a program; in the background where the library
 * can serve until it is there. */
FND_USE_RESULT fnd_status fnd_program_prepare(fnd_program *p, fnd_error *err);
/* The program to run now: p, or what stands in for it. */
fnd_program *fnd_program_present(fnd_program *p);
void fnd_program_stop_compiling(fnd_program *p);

/* program_stages.c: where a program's clocks are written, which the end of its table says; and a run whose calls the
 * profiler sees one by one. */
FND_USE_RESULT fnd_status fnd_program_open_stages(fnd_program *p, fnd_error *err);
FND_USE_RESULT fnd_status fnd_program_run_stages(fnd_program *p, const fnd_dispatch *d, fnd_error *err);
/* What a call moves and computes with the present variables. */
fnd_traffic fnd_program_call_traffic(const fnd_program *p, uint32_t call);

/* program_memory.c: put the temporaries in their places; needs the barriers. */
FND_USE_RESULT fnd_status fnd_program_place(fnd_program *p, fnd_error *err);

/* One of its segments, as it is launched. */
fnd_dispatch fnd_program_dispatch(const fnd_program *p, uint32_t segment);

int fnd_program_variable(const fnd_program *p, const char *name); /* -1: none */

/* The whole program as one function, as it is compiled where the device can run it so; `flat` with all that it
 * includes. Of a finished program; from any thread. */
FND_USE_RESULT fnd_status fnd_program_print(const fnd_program *p, bool flat, fnd_text *out, fnd_error *err);

#endif
