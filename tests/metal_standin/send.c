/* send.c - objc_msgSend: find the method, and go on as it, with all arguments where they are.
 *
 * SAFETY: every register that may carry an argument is saved round the search; the method is then jumped to, so
 * it returns to the caller. A message to nil goes to a method that does nothing; zero is put where results are
 * returned. On x86-64 objc_msgSend_stret has the address of the result before the receiver. */
#include "standin.h"

STANDIN_EXPORT void objc_msgSend(void);

#if defined(__x86_64__)
#define SEND(name, self, selector) \
    __asm__(".text\n.p2align 4\n.globl " name "\n.type " name ", @function\n" name ":\n" \
            "pushq %rbp\nmovq %rsp, %rbp\nsubq $192, %rsp\n" \
            "movq %rdi, (%rsp)\nmovq %rsi, 8(%rsp)\nmovq %rdx, 16(%rsp)\nmovq %rcx, 24(%rsp)\n" \
            "movq %r8, 32(%rsp)\nmovq %r9, 40(%rsp)\nmovq %rax, 48(%rsp)\n" \
            "movups %xmm0, 64(%rsp)\nmovups %xmm1, 80(%rsp)\nmovups %xmm2, 96(%rsp)\nmovups %xmm3, 112(%rsp)\n" \
            "movups %xmm4, 128(%rsp)\nmovups %xmm5, 144(%rsp)\nmovups %xmm6, 160(%rsp)\nmovups %xmm7, 176(%rsp)\n" \
            "movq " self "(%rsp), %rdi\nmovq " selector "(%rsp), %rsi\ncall standin_lookup@PLT\nmovq %rax, %r11\n" \
            "movq (%rsp), %rdi\nmovq 8(%rsp), %rsi\nmovq 16(%rsp), %rdx\nmovq 24(%rsp), %rcx\n" \
            "movq 32(%rsp), %r8\nmovq 40(%rsp), %r9\n" \
            "movups 64(%rsp), %xmm0\nmovups 80(%rsp), %xmm1\nmovups 96(%rsp), %xmm2\nmovups 112(%rsp), %xmm3\n" \
            "movups 128(%rsp), %xmm4\nmovups 144(%rsp), %xmm5\nmovups 160(%rsp), %xmm6\nmovups 176(%rsp), %xmm7\n" \
            "xorl %eax, %eax\nleave\njmp *%r11\n")
SEND("objc_msgSend", "0", "8");
SEND("objc_msgSend_stret", "8", "16");
#elif defined(__aarch64__)
__asm__(".text\n.p2align 4\n.globl objc_msgSend\n.type objc_msgSend, %function\nobjc_msgSend:\n"
        "stp x29, x30, [sp, #-224]!\nmov x29, sp\n"
        "stp x0, x1, [sp, #16]\nstp x2, x3, [sp, #32]\nstp x4, x5, [sp, #48]\nstp x6, x7, [sp, #64]\nstr x8, [sp, #80]\n"
        "stp q0, q1, [sp, #96]\nstp q2, q3, [sp, #128]\nstp q4, q5, [sp, #160]\nstp q6, q7, [sp, #192]\n"
        "bl standin_lookup\nmov x16, x0\n"
        "ldp x0, x1, [sp, #16]\nldp x2, x3, [sp, #32]\nldp x4, x5, [sp, #48]\nldp x6, x7, [sp, #64]\nldr x8, [sp, #80]\n"
        "ldp q0, q1, [sp, #96]\nldp q2, q3, [sp, #128]\nldp q4, q5, [sp, #160]\nldp q6, q7, [sp, #192]\n"
        "ldp x29, x30, [sp], #224\nbr x16\n");
#else
#error "objc_msgSend is written for x86-64 and arm64"
#endif
