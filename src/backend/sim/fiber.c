/* fiber.c - stacks and the switch between them.
 *
 * SAFETY: a switch saves what the platform's calling convention obliges a function to preserve, and
 * exchanges the stack pointer; to the compiler it is an ordinary call to a function it cannot see,
 * so nothing else needs to be saved. Each stack ends in a page without access: what overruns it stops
 * there. swapcontext would do the same with a system call for each switch; it is the fallback for
 * other processors (or with FND_FIBER_UCONTEXT). */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* MAP_ANONYMOUS, MAP_NORESERVE */
#endif
#include "backend/sim/fiber.h"
#include "base/base.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#endif
#endif
#ifdef FIBER_ASAN
#include <sanitizer/asan_interface.h>
#endif

#if !defined(FND_FIBER_UCONTEXT) && !defined(__x86_64__) && !defined(__aarch64__)
#define FND_FIBER_UCONTEXT 1
#endif
#ifdef FND_FIBER_UCONTEXT
#include <ucontext.h>
#endif

fnd_status fnd_fiber_stacks_open(size_t count, fnd_fiber_stacks *out, fnd_error *err) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    fnd_fiber_stacks s = { .count = count, .guard = page, .stride = fnd_round_up(FND_FIBER_STACK_BYTES, page) + page };
    void *base = mmap(NULL, count * s.stride, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    *out = (fnd_fiber_stacks){ 0 };
    if (base == MAP_FAILED) return fnd_fail(err, FND_ERR_MEMORY, "no address space for %zu stacks of %zu bytes: %s", count, s.stride, strerror(errno));
    s.base = base;
    for (size_t i = 0; i < count; i++) {
        if (mprotect(s.base + i * s.stride, page, PROT_NONE) == 0) continue;
        int reason = errno;
        munmap(base, count * s.stride);
        return fnd_fail(err, FND_ERR_MEMORY, "cannot guard a stack: %s", strerror(reason));
    }
    *out = s;
    return FND_OK;
}

/* A fiber that was given up leaves marks of the address sanitizer on its stack: wipe them, also before
 * the addresses become somebody else's. */
static void wipe_marks(const uint8_t *at, size_t bytes) {
#ifdef FIBER_ASAN
    __asan_unpoison_memory_region(at, bytes);
#else
    (void)at, (void)bytes;
#endif
}

void fnd_fiber_stacks_close(fnd_fiber_stacks *stacks) {
    if (stacks->base) {
        wipe_marks(stacks->base, stacks->count * stacks->stride);
        munmap(stacks->base, stacks->count * stacks->stride);
    }
    *stacks = (fnd_fiber_stacks){ 0 };
}

static uint8_t *fresh_stack(const fnd_fiber_stacks *stacks, size_t index) {
    uint8_t *stack = fnd_fiber_stack(stacks, index);
    wipe_marks(stack, stacks->stride - stacks->guard);
    return stack;
}

#ifndef FND_FIBER_UCONTEXT

#define TEXT_(x)   #x
#define TEXT(x)    TEXT_(x)
#define SYMBOL(id) TEXT(__USER_LABEL_PREFIX__) #id

void fnd_fiber_switch_(void **from, void *to);
void fnd_fiber_enter_(void);

#if defined(__x86_64__)
/* rbx holds run, r12 its argument when a fiber is entered for the first time. */
__asm__(".text\n"
        ".p2align 4\n"
        ".globl " SYMBOL(fnd_fiber_switch_) "\n" SYMBOL(fnd_fiber_switch_) ":\n"
                                                                           "    pushq %rbp\n"
                                                                           "    pushq %rbx\n"
                                                                           "    pushq %r12\n"
                                                                           "    pushq %r13\n"
                                                                           "    pushq %r14\n"
                                                                           "    pushq %r15\n"
                                                                           "    movq %rsp, (%rdi)\n"
                                                                           "    movq %rsi, %rsp\n"
                                                                           "    popq %r15\n"
                                                                           "    popq %r14\n"
                                                                           "    popq %r13\n"
                                                                           "    popq %r12\n"
                                                                           "    popq %rbx\n"
                                                                           "    popq %rbp\n"
                                                                           "    ret\n"
                                                                           ".p2align 4\n"
                                                                           ".globl " SYMBOL(fnd_fiber_enter_) "\n" SYMBOL(fnd_fiber_enter_) ":\n"
                                                                                                                                            "    movq %r12, %rdi\n"
                                                                                                                                            "    callq *%rbx\n"
                                                                                                                                            "    ud2\n");
enum { FRAME_WORDS = 7,
       FRAME_ARGUMENT = 3,
       FRAME_RUN = 4,
       FRAME_RETURN = 6 };
#else
/* x19 holds run, x20 its argument when a fiber is entered for the first time. */
__asm__(".text\n"
        ".p2align 4\n"
        ".globl " SYMBOL(fnd_fiber_switch_) "\n" SYMBOL(fnd_fiber_switch_) ":\n"
                                                                           "    sub sp, sp, #160\n"
                                                                           "    stp x19, x20, [sp, #0]\n"
                                                                           "    stp x21, x22, [sp, #16]\n"
                                                                           "    stp x23, x24, [sp, #32]\n"
                                                                           "    stp x25, x26, [sp, #48]\n"
                                                                           "    stp x27, x28, [sp, #64]\n"
                                                                           "    stp x29, x30, [sp, #80]\n"
                                                                           "    stp d8, d9, [sp, #96]\n"
                                                                           "    stp d10, d11, [sp, #112]\n"
                                                                           "    stp d12, d13, [sp, #128]\n"
                                                                           "    stp d14, d15, [sp, #144]\n"
                                                                           "    mov x9, sp\n"
                                                                           "    str x9, [x0]\n"
                                                                           "    mov sp, x1\n"
                                                                           "    ldp x19, x20, [sp, #0]\n"
                                                                           "    ldp x21, x22, [sp, #16]\n"
                                                                           "    ldp x23, x24, [sp, #32]\n"
                                                                           "    ldp x25, x26, [sp, #48]\n"
                                                                           "    ldp x27, x28, [sp, #64]\n"
                                                                           "    ldp x29, x30, [sp, #80]\n"
                                                                           "    ldp d8, d9, [sp, #96]\n"
                                                                           "    ldp d10, d11, [sp, #112]\n"
                                                                           "    ldp d12, d13, [sp, #128]\n"
                                                                           "    ldp d14, d15, [sp, #144]\n"
                                                                           "    add sp, sp, #160\n"
                                                                           "    ret\n"
                                                                           ".p2align 4\n"
                                                                           ".globl " SYMBOL(fnd_fiber_enter_) "\n" SYMBOL(fnd_fiber_enter_) ":\n"
                                                                                                                                            "    mov x0, x20\n"
                                                                                                                                            "    blr x19\n"
                                                                                                                                            "    brk #0\n");
enum { FRAME_WORDS = 20,
       FRAME_RUN = 0,
       FRAME_ARGUMENT = 1,
       FRAME_RETURN = 11 };
#endif

void fnd_fiber_start(fnd_fiber *fiber, const fnd_fiber_stacks *stacks, size_t index, void (*run)(void *argument), void *argument) {
    uint8_t *end = fresh_stack(stacks, index) + (stacks->stride - stacks->guard); /* a multiple of the page size */
    uintptr_t *frame = (uintptr_t *)(void *)end - FRAME_WORDS;
    memset(frame, 0, FRAME_WORDS * sizeof *frame);
    frame[FRAME_RUN] = (uintptr_t)run;
    frame[FRAME_ARGUMENT] = (uintptr_t)argument;
    frame[FRAME_RETURN] = (uintptr_t)fnd_fiber_enter_;
    fiber->at = frame;
}

FND_SWITCHES void fnd_fiber_switch(fnd_fiber *from, const fnd_fiber *to) { fnd_fiber_switch_(&from->at, to->at); }

#else

/* makecontext passes ints: a pointer goes as two. */
static void enter(unsigned run_high, unsigned run_low, unsigned argument_high, unsigned argument_low) {
    void (*run)(void *) = (void (*)(void *))(uintptr_t)((uint64_t)run_high << 32 | run_low);
    run((void *)(uintptr_t)((uint64_t)argument_high << 32 | argument_low));
}

/* The context of a fiber that has not started stands at the far end of its stack; that of one that
 * was left stands in the frame of fnd_fiber_switch. */
void fnd_fiber_start(fnd_fiber *fiber, const fnd_fiber_stacks *stacks, size_t index, void (*run)(void *argument), void *argument) {
    uint8_t *stack = fresh_stack(stacks, index);
    size_t bytes = stacks->stride - stacks->guard - fnd_round_up(sizeof(ucontext_t), 64);
    ucontext_t *context = (ucontext_t *)(void *)(stack + bytes);
    getcontext(context);
    context->uc_stack.ss_sp = stack;
    context->uc_stack.ss_size = bytes;
    context->uc_link = NULL;
    uint64_t f = (uint64_t)(uintptr_t)run, a = (uint64_t)(uintptr_t)argument;
    makecontext(context, (void (*)(void))enter, 4, (unsigned)(f >> 32), (unsigned)f, (unsigned)(a >> 32), (unsigned)a);
    fiber->at = context;
}

FND_SWITCHES void fnd_fiber_switch(fnd_fiber *from, const fnd_fiber *to) {
    ucontext_t here;
    from->at = &here;
    swapcontext(&here, to->at);
}

#endif
