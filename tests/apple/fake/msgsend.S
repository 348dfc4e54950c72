/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objc_msgSend and objc_msgSend_stret as Apple's runtime exports them, over fake_lookup(receiver, selector),
 * for x86-64 (System V) and aarch64. Called by the Metal backend only; messages inside the stand-in go through
 * GCC's own lookup. Every argument register is kept: the result of fake_lookup is jumped to, not called.
 * A nil receiver gives zero in every result register. arm64 has no _stret, as on macOS.
 */
#if defined(__x86_64__)

/* \receiver, \selector: the registers that hold them; _stret has the result's address in rdi before them. */
.macro SENDER name receiver selector
    .globl \name
    .type \name, @function
\name:
    .cfi_startproc
    endbr64
    test \receiver, \receiver
    jz 9f
    push %rbp
    .cfi_def_cfa_offset 16
    .cfi_offset %rbp, -16
    mov %rsp, %rbp
    .cfi_def_cfa_register %rbp
    sub $0xc0, %rsp
    movaps %xmm0, 0x00(%rsp)
    movaps %xmm1, 0x10(%rsp)
    movaps %xmm2, 0x20(%rsp)
    movaps %xmm3, 0x30(%rsp)
    movaps %xmm4, 0x40(%rsp)
    movaps %xmm5, 0x50(%rsp)
    movaps %xmm6, 0x60(%rsp)
    movaps %xmm7, 0x70(%rsp)
    mov %rdi, 0x80(%rsp)
    mov %rsi, 0x88(%rsp)
    mov %rdx, 0x90(%rsp)
    mov %rcx, 0x98(%rsp)
    mov %r8, 0xa0(%rsp)
    mov %r9, 0xa8(%rsp)
    mov %rax, 0xb0(%rsp)
    .ifnc \receiver,%rdi
    mov \receiver, %rdi
    mov \selector, %rsi
    .endif
    call fake_lookup@PLT
    mov %rax, %r11
    movaps 0x00(%rsp), %xmm0
    movaps 0x10(%rsp), %xmm1
    movaps 0x20(%rsp), %xmm2
    movaps 0x30(%rsp), %xmm3
    movaps 0x40(%rsp), %xmm4
    movaps 0x50(%rsp), %xmm5
    movaps 0x60(%rsp), %xmm6
    movaps 0x70(%rsp), %xmm7
    mov 0x80(%rsp), %rdi
    mov 0x88(%rsp), %rsi
    mov 0x90(%rsp), %rdx
    mov 0x98(%rsp), %rcx
    mov 0xa0(%rsp), %r8
    mov 0xa8(%rsp), %r9
    mov 0xb0(%rsp), %rax
    leave
    .cfi_def_cfa %rsp, 8
    jmp *%r11
9:
    .ifc \receiver,%rdi
    xor %eax, %eax
    xor %edx, %edx
    xorps %xmm0, %xmm0
    xorps %xmm1, %xmm1
    .else
    mov %rdi, %rax
    .endif
    ret
    .cfi_endproc
    .size \name, . - \name
.endm

    .text
    SENDER objc_msgSend %rdi %rsi
    SENDER objc_msgSend_stret %rsi %rdx

#elif defined(__aarch64__)

    .text
    .globl objc_msgSend
    .type objc_msgSend, %function
objc_msgSend:
    .cfi_startproc
    cbz x0, 9f
    stp x29, x30, [sp, #-224]!
    .cfi_def_cfa_offset 224
    .cfi_offset x29, -224
    .cfi_offset x30, -216
    mov x29, sp
    stp x0, x1, [sp, #16]
    stp x2, x3, [sp, #32]
    stp x4, x5, [sp, #48]
    stp x6, x7, [sp, #64]
    str x8, [sp, #80]
    stp q0, q1, [sp, #96]
    stp q2, q3, [sp, #128]
    stp q4, q5, [sp, #160]
    stp q6, q7, [sp, #192]
    bl fake_lookup
    mov x16, x0
    ldp x0, x1, [sp, #16]
    ldp x2, x3, [sp, #32]
    ldp x4, x5, [sp, #48]
    ldp x6, x7, [sp, #64]
    ldr x8, [sp, #80]
    ldp q0, q1, [sp, #96]
    ldp q2, q3, [sp, #128]
    ldp q4, q5, [sp, #160]
    ldp q6, q7, [sp, #192]
    ldp x29, x30, [sp], #224
    .cfi_def_cfa_offset 0
    br x16
9:
    mov x1, #0
    movi d0, #0
    movi d1, #0
    movi d2, #0
    movi d3, #0
    ret
    .cfi_endproc
    .size objc_msgSend, . - objc_msgSend

#else
#error "objc_msgSend is written for x86-64 and aarch64"
#endif
    .section .note.GNU-stack,"",%progbits
