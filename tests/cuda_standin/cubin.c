/* cubin.c - a cubin is an ELF file. A function's code is section .text.NAME, its group memory .nv.shared.NAME;
 * .nv.info has records of all functions (registers 0x2f, least stack 0x12, by symbol), .nv.info.NAME the function's
 * own (most threads 0x05; parameters 0x17, each with its number in the third 16 bits and its size from bit 18 of
 * the third word on). A record is four bytes (form, what, and 16 bits), and where the form is 4, as many bytes
 * more as these bits say. */
#include "cubin.h"

#include <elf.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { LONG_FORM = 4,
       MOST_THREADS = 0x05,
       PARAMETER = 0x17,
       LEAST_STACK = 0x12,
       REGISTERS = 0x2f,
       RESERVED_SHARED = 1024 /* of .nv.shared.NAME from 9.0 on: the system's */ };

typedef struct elf {
    const uint8_t *image;
    Elf64_Ehdr header;
    Elf64_Shdr names;
} elf;

static Elf64_Shdr section_at(const elf *e, unsigned i) {
    Elf64_Shdr s;
    memcpy(&s, e->image + e->header.e_shoff + (size_t)i * e->header.e_shentsize, sizeof s);
    return s;
}

static int find(const elf *e, const char *prefix, const char *entry, Elf64_Shdr *out) {
    char name[256];
    snprintf(name, sizeof name, "%s%s", prefix, entry);
    for (unsigned i = 0; i < e->header.e_shnum; i++) {
        *out = section_at(e, i);
        if (strcmp((const char *)e->image + e->names.sh_offset + out->sh_name, name) == 0) return 1;
    }
    return 0;
}

/* The symbol's number for a function; records name it so. */
static uint32_t symbol_of(const elf *e, const char *entry) {
    Elf64_Shdr symbols;
    if (!find(e, ".symtab", "", &symbols)) return UINT32_MAX;
    Elf64_Shdr strings = section_at(e, symbols.sh_link);
    for (uint64_t i = 0; i < symbols.sh_size / sizeof(Elf64_Sym); i++) {
        Elf64_Sym s;
        memcpy(&s, e->image + symbols.sh_offset + i * sizeof s, sizeof s);
        if (strcmp((const char *)e->image + strings.sh_offset + s.st_name, entry) == 0) return (uint32_t)i;
    }
    return UINT32_MAX;
}

/* The words of the record of that kind, of this symbol if `by_symbol`. */
static int record(const elf *e, const Elf64_Shdr *info, unsigned what, int by_symbol, uint32_t symbol, uint32_t words[3]) {
    for (uint64_t at = 0; at + 4 <= info->sh_size;) {
        const uint8_t *r = e->image + info->sh_offset + at;
        unsigned bytes = r[0] == LONG_FORM ? (unsigned)(r[2] | r[3] << 8) : 0;
        memset(words, 0, 12);
        memcpy(words, r + 4, bytes < 12 ? bytes : 12);
        if (r[0] == LONG_FORM && r[1] == what && (!by_symbol || words[0] == symbol)) return 1;
        at += 4 + bytes;
    }
    return 0;
}

static void read_params(const elf *e, const Elf64_Shdr *info, cubin_facts *out) {
    for (uint64_t at = 0; at + 4 <= info->sh_size;) {
        const uint8_t *r = e->image + info->sh_offset + at;
        unsigned bytes = r[0] == LONG_FORM ? (unsigned)(r[2] | r[3] << 8) : 0, number = r[0] == LONG_FORM && r[1] == PARAMETER ? (unsigned)(r[8] | r[9] << 8) : CUBIN_PARAMS;
        uint32_t size;
        if (number < CUBIN_PARAMS) {
            memcpy(&size, r + 12, sizeof size);
            out->param_bytes[number] = size >> 18;
        }
        at += 4 + bytes;
    }
}

int cubin_read(const void *image, const char *entry, cubin_facts *out) {
    elf e = { .image = image };
    Elf64_Shdr s;
    uint32_t words[3], symbol;
    memset(out, 0, sizeof *out);
    memcpy(&e.header, image, sizeof e.header);
    if (memcmp(e.header.e_ident, ELFMAG, SELFMAG) != 0) return 0;
    e.names = section_at(&e, e.header.e_shstrndx);
    if (!find(&e, ".text.", entry, &s)) return 0;
    symbol = symbol_of(&e, entry);
    if (find(&e, ".nv.info", "", &s)) {
        if (record(&e, &s, REGISTERS, 1, symbol, words)) out->registers = (int)words[1];
        if (record(&e, &s, LEAST_STACK, 1, symbol, words)) out->local_bytes = (int)words[1];
    }
    out->max_threads = 1024;
    if (find(&e, ".nv.info.", entry, &s)) read_params(&e, &s, out);
    if (find(&e, ".nv.info.", entry, &s) && record(&e, &s, MOST_THREADS, 0, 0, words)) out->max_threads = (int)(words[0] * words[1] * words[2]);
    if (find(&e, ".nv.shared.", entry, &s)) {
        Elf64_Shdr reserved;
        out->shared_bytes = (int)s.sh_size - (find(&e, ".nv.shared.reserved.0", "", &reserved) ? RESERVED_SHARED : 0);
    }
    return 1;
}
