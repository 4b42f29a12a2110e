/* AMX for processors that have none: its instructions raise SIGILL there, and are carried out here by the letter of
 * Intel's manual. What the manual forbids (a shape that does not fit, a register that is not configured) ends the
 * process, as the processor would. Loaded into a test's library; x86-64 Linux only. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

enum { TILES = 8, ROWS = 16, ROW_BYTES = 64 };

static _Thread_local struct {
    bool configured;
    uint8_t rows[TILES];
    uint16_t width[TILES];
    uint8_t data[TILES][ROWS][ROW_BYTES];
} state;

static void forbid(const char *what) {
    fprintf(stderr, "AMX: %s\n", what);
    abort();
}

static void configure(const uint8_t *config) {
    if (config[0] != 1) forbid("the palette is not 1");
    for (int i = 1; i < 64; ++i) {
        const bool reserved = (i >= 2 && i < 16) || (i >= 32 && i < 48) || i >= 56;
        if (reserved && config[i] != 0) forbid("a reserved byte of the configuration is set");
    }
    memset(&state, 0, sizeof state);
    state.configured = true;
    for (int tile = 0; tile < TILES; ++tile) {
        memcpy(&state.width[tile], config + 16 + 2 * tile, 2);
        state.rows[tile] = config[48 + tile];
        if (state.width[tile] > ROW_BYTES || state.rows[tile] > ROWS) forbid("a tile is too large");
        if ((state.width[tile] == 0) != (state.rows[tile] == 0)) forbid("a tile has rows but no columns, or the reverse");
    }
}

static int used(int tile) {
    if (!state.configured || tile >= TILES || state.rows[tile] == 0) forbid("a tile register is not configured");
    return tile;
}

static void move(int tile, uint8_t *memory, int64_t stride, bool to_memory) {
    const size_t width = state.width[used(tile)];
    for (int row = 0; row < ROWS; ++row) {
        uint8_t *line = memory + row * stride, *data = state.data[tile][row];
        if (!to_memory) memset(data, 0, ROW_BYTES);
        if (row < state.rows[tile]) memcpy(to_memory ? line : data, to_memory ? data : line, width);
    }
}

/* c += a (rows x 4 k bytes) times b (k x 4 n bytes). */
static void multiply(int c, int a, int b, bool a_signed, bool b_signed) {
    if (state.rows[used(c)] != state.rows[used(a)] || state.width[c] != state.width[used(b)] ||
        state.width[a] != 4 * state.rows[b]) {
        forbid("the shapes of a product do not fit");
    }
    for (int m = 0; m < state.rows[c]; ++m) {
        for (int n = 0; n < state.width[c] / 4; ++n) {
            int32_t sum;
            memcpy(&sum, &state.data[c][m][4 * n], 4);
            for (int k = 0; k < state.width[a]; ++k) {
                const uint8_t left = state.data[a][m][k], right = state.data[b][k / 4][4 * n + k % 4];
                sum += (a_signed ? (int8_t)left : left) * (b_signed ? (int8_t)right : right);
            }
            memcpy(&state.data[c][m][4 * n], &sum, 4);
        }
    }
}

static int64_t general(const ucontext_t *context, int number) {
    static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                  REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    return context->uc_mcontext.gregs[order[number]];
}

typedef struct {
    uint8_t *memory;
    int64_t stride;
    int length; /* of ModRM and what follows it */
} address;

static address find(const ucontext_t *context, const uint8_t *modrm, bool base_high, bool index_high) {
    const int mode = modrm[0] >> 6, rm = modrm[0] & 7;
    address found = {.length = 1};
    int base = rm;
    if (rm == 4) {
        const uint8_t sib = modrm[found.length++];
        const int index = (sib >> 3 & 7) | (index_high ? 8 : 0);
        base = sib & 7;
        if (index != 4) found.stride = (int64_t)((uint64_t)general(context, index) << (sib >> 6));
    }
    if (mode == 0 && base == 5) forbid("this form of address is not emulated");
    int64_t at = general(context, base | (base_high ? 8 : 0));
    if (mode == 1) {
        at += (int8_t)modrm[found.length++];
    } else if (mode == 2) {
        int32_t more;
        memcpy(&more, modrm + found.length, 4);
        at += more;
        found.length += 4;
    }
    found.memory = (uint8_t *)(uintptr_t)at;
    return found;
}

/* The length of the instruction that was carried out; 0: it is none of AMX. */
static int execute(const ucontext_t *context, const uint8_t *code) {
    if (code[0] != 0xc4 || (code[1] & 0x1f) != 2 || (code[2] & 0x84) != 0) return 0; /* VEX, map 0F38, W 0, 128 bits */
    enum { NONE, P66, PF3, PF2 };
    const int prefix = code[2] & 3, opcode = code[3], other = ~(code[2] >> 3) & 15;
    const uint8_t *modrm = code + 4;
    const bool memory = modrm[0] >> 6 != 3;
    const int reg = modrm[0] >> 3 & 7, rm = modrm[0] & 7;
    if (opcode == 0x5e && !memory) {
        static const bool a_signed[] = {[NONE] = false, [P66] = false, [PF3] = true, [PF2] = true};
        static const bool b_signed[] = {[NONE] = false, [P66] = true, [PF3] = false, [PF2] = true};
        multiply(reg, rm, other, a_signed[prefix], b_signed[prefix]);
        return 5;
    }
    if (opcode == 0x49 && !memory && prefix == NONE && modrm[0] == 0xc0) {
        memset(&state, 0, sizeof state);
        return 5;
    }
    if (opcode == 0x49 && !memory && prefix == PF2) {
        memset(state.data[used(reg)], 0, sizeof state.data[reg]);
        return 5;
    }
    if (!memory || (opcode != 0x49 && opcode != 0x4b)) return 0;
    const address at = find(context, modrm, (code[1] & 0x20) == 0, (code[1] & 0x40) == 0);
    if (opcode == 0x49 && prefix == NONE) {
        configure(at.memory);
    } else if (opcode == 0x4b && prefix != NONE) {
        move(reg, at.memory, at.stride, prefix == PF3);
    } else {
        return 0;
    }
    return 4 + at.length;
}

static void on_illegal(int number, siginfo_t *info, void *pointer) {
    ucontext_t *context = pointer;
    (void)info;
    const int length = execute(context, (const uint8_t *)context->uc_mcontext.gregs[REG_RIP]);
    if (length == 0) {
        signal(number, SIG_DFL); /* the instruction is tried again, and ends the process */
        return;
    }
    context->uc_mcontext.gregs[REG_RIP] += length;
}

__attribute__((constructor)) static void start(void) {
    struct sigaction action = {.sa_sigaction = on_illegal, .sa_flags = SA_SIGINFO};
    (void)sigaction(SIGILL, &action, NULL);
}
