/* stages.cu - where a token's time goes inside the persistent decode program: the text that `foundry emit
 * --program decode --flat --backend cuda` prints, with a clock read before and behind every barrier over the grid.
 * Built by bench/gpu/stages.sh for one model of the Qwen2.5 shapes; weights are random, the answer is not
 * checked here (the tests do that). */
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

__device__ long long *stamps;
#define STAMP(n) do { if (threadIdx.x == 0) stamps[(blockIdx.x * STAMPS + (n))] = clock64(); } while (0)
#include PROGRAM

#define CHECK(e) do { cudaError_t r_ = (e); if (r_ != cudaSuccess) { printf("%s, line %d\n", cudaGetErrorString(r_), __LINE__); exit(1); } } while (0)

static size_t weights_used;
static unsigned char *weights;
static fnd_weight matrix(size_t rows, size_t cols) {
    fnd_weight w = { weights + weights_used, 0 };
    weights_used += rows * ((PITCH(cols) + 63) / 64 * 64);
    return w;
}
template<class T> static T *fresh(size_t count, float value) {
    std::vector<float> host(count, value);
    for (size_t i = 0; i < count; i++) host[i] = value + 0.01f * (float)(rand() % 100 - 50);
    T *p;
    CHECK(cudaMalloc(&p, count * 4 + 256));
    CHECK(cudaMemcpy(p, host.data(), count * 4, cudaMemcpyHostToDevice));
    return p;
}

int main(int argc, char **argv) {
    const unsigned pos = argc > 1 ? atoi(argv[1]) : 64, q = HEADS * HEAD_DIM, kv = KV_HEADS * HEAD_DIM, blocks = pos / 16 + 64;
    const size_t all = (size_t)20 << 30;
    CHECK(cudaMalloc(&weights, all));
    std::vector<unsigned> noise(1 << 24);
    for (auto &v : noise) v = (((unsigned)rand() << 16 ^ (unsigned)rand()) & 0x8fff8fffu) | 0x30003000u;
    for (size_t at = 0; at < all; at += noise.size() * 4) CHECK(cudaMemcpy(weights + at, noise.data(), noise.size() * 4, cudaMemcpyHostToDevice));

    decode_before before = {};
    decode_after after = {};
    std::vector<decode_layer> layers(LAYERS);
    typedef const unsigned char *bytes;
    float *x = fresh<float>(DIM, 0), *freq = fresh<float>(128, 0.5f), *part = fresh<float>((size_t)HEADS * 1024 * (HEAD_DIM + 2), 0), *h = fresh<float>(HIDDEN, 0);
    float *yq = fresh<float>(q, 0), *yk = fresh<float>(kv, 0), *yv = fresh<float>(kv, 0), *logits = fresh<float>(VOCAB, 0);
    unsigned *ids = (unsigned *)fresh<float>(1, 0);
    CHECK(cudaMemset(ids, 0, 4));
    before.call0.y = (unsigned char *)x, before.call0.ids = ids;
    for (auto &l : layers) {
        unsigned char *cache[2];
        for (auto &c : cache) {
            CHECK(cudaMalloc(&c, (size_t)blocks * 16 * kv * 2));
            CHECK(cudaMemset(c, 0, (size_t)blocks * 16 * kv * 2));
        }
        l.call0.x = (bytes)x, l.call0.gamma = fresh<float>(DIM, 1);
        l.call0.w_q = matrix(q, DIM), l.call0.w_k = matrix(kv, DIM), l.call0.w_v = matrix(kv, DIM);
        l.call0.bias_q = fresh<float>(q, 0), l.call0.bias_k = fresh<float>(kv, 0), l.call0.bias_v = fresh<float>(kv, 0);
        l.call0.y_q = (unsigned char *)yq, l.call0.y_k = (unsigned char *)yk, l.call0.y_v = (unsigned char *)yv;
        l.call1.q = yq, l.call1.k = yk, l.call1.v = yv, l.call1.inv_freq = freq, l.call1.k_cache = cache[0], l.call1.v_cache = cache[1], l.call1.part = part;
        l.call1.pos = pos, l.call1.blocks = blocks;
        l.call2.part = part, l.call2.w = matrix(DIM, q), l.call2.residual = (bytes)x, l.call2.y = (unsigned char *)x;
        l.call3.x = (bytes)x, l.call3.gamma = fresh<float>(DIM, 1), l.call3.w_gate = matrix(HIDDEN, DIM), l.call3.w_up = matrix(HIDDEN, DIM), l.call3.y = (unsigned char *)h;
        l.call4.x = (bytes)h, l.call4.w = matrix(DIM, HIDDEN), l.call4.residual = (bytes)x, l.call4.y = (unsigned char *)x;
    }
    after.call0.x = (bytes)x, after.call0.gamma = fresh<float>(DIM, 1), after.call0.w = matrix(VOCAB, DIM), after.call0.y = (unsigned char *)logits;
    before.call0.w = after.call0.w;
    std::vector<unsigned char> table;
    auto put = [&](const void *p, size_t n) { table.insert(table.end(), (const unsigned char *)p, (const unsigned char *)p + n); };
    put(&before, sizeof before), put(layers.data(), sizeof(decode_layer) * LAYERS), put(&after, sizeof after);
    unsigned char *args, *none = nullptr;
    CHECK(cudaMalloc(&args, table.size()));
    CHECK(cudaMemcpy(args, table.data(), table.size(), cudaMemcpyHostToDevice));
    long long *log;
    cudaDeviceProp p;
    CHECK(cudaGetDeviceProperties(&p, 0));
    const int sms = p.multiProcessorCount;
    CHECK(cudaMalloc(&log, (size_t)sms * STAMPS * 8));
    CHECK(cudaMemcpyToSymbol(stamps, &log, 8));

    cudaFuncAttributes f;
    CHECK(cudaFuncGetAttributes(&f, decode));
    unsigned long long scratch = SCRATCH;
#ifdef FND_STREAM
    int threads = (FND_WARPS + 1) * 32, shared = (int)((p.sharedMemPerBlockOptin - f.sharedSizeBytes) / 256 * 256);
#else
    int threads = FND_WARPS * 32, shared = SCRATCH;
#endif
    CHECK(cudaFuncSetAttribute(decode, cudaFuncAttributeMaxDynamicSharedMemorySize, shared));
    void *parameters[] = { &args, &none, &scratch, &none };
    cudaEvent_t a, b;
    cudaEventCreate(&a), cudaEventCreate(&b);
    std::vector<float> ms;
    for (int i = 0; i < 40; i++) {
        cudaEventRecord(a);
        CHECK(cudaLaunchCooperativeKernel((void *)decode, dim3(sms), dim3(threads), parameters, shared, 0));
        cudaEventRecord(b);
        CHECK(cudaEventSynchronize(b));
        float t;
        cudaEventElapsedTime(&t, a, b);
        if (i > 5) ms.push_back(t);
    }
    std::sort(ms.begin(), ms.end());
    std::vector<long long> s((size_t)sms * STAMPS);
    CHECK(cudaMemcpy(s.data(), log, s.size() * 8, cudaMemcpyDeviceToHost));
    const double t = ms[ms.size() / 2];
    printf("%-24s pos %5u: %.3f ms, %4.0f tok/s, %4.0f GB/s; %d warps, %d registers, %zu B spilled; cycles [barrier] stage:", NAME, pos, t, 1000 / t, weights_used / t / 1e6, FND_WARPS, f.numRegs, f.localSizeBytes);
    /* Of a layer: 0 before, 1 behind the barrier, stage 0, ... mean over groups and layers but the first. */
    double sum = 0;
    for (int k = 0; k < 10; k++) {
        double mean = 0;
        for (int g = 0; g < sms; g++) {
            for (int l = 1; l < LAYERS; l++) {
                const long long *at = &s[(size_t)g * STAMPS + l * 10];
                mean += (double)(at[k + 1] - at[k]); /* the last: to the next layer's first */
            }
        }
        mean /= sms * (LAYERS - 1.0);
        sum += mean;
        double extreme = 0; /* the last group's wait; the slowest group's stage */
        for (int l = 1; l < LAYERS; l++) {
            long long best = k % 2 ? 0 : 1ll << 62;
            for (int g = 0; g < sms; g++) {
                const long long *at = &s[(size_t)g * STAMPS + l * 10];
                long long v = at[k + 1] - at[k];
                best = k % 2 ? std::max(best, v) : std::min(best, v);
            }
            extreme += (double)best / (LAYERS - 1.0);
        }
        printf(k % 2 ? " %.0f (max %.0f)" : " [%.0f, min %.0f]", mean, extreme);
    }
    double head = 0;
    for (int g = 0; g < sms; g++) head += (double)(s[(size_t)g * STAMPS + LAYERS * 10 + 2] - s[(size_t)g * STAMPS + LAYERS * 10]);
    printf("; sum %.0f, head %.0f\n", sum, head / sms);
    return 0;
}
