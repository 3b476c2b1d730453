/* planted_spill.cu - 96 sums that all live at once, in a group of 1024 threads, which have 64 registers each. */
extern "C" __global__ void __launch_bounds__(1024, 1) planted_spill(const float *x, float *y, int n)
{
    float sum[96];
#pragma unroll
    for (int k = 0; k < 96; k++) sum[k] = x[k * 1024 + threadIdx.x];
    for (int i = 0; i < n; i++) {
        float more[96];
#pragma unroll
        for (int k = 0; k < 96; k++) more[k] = sum[k] * sum[(k * 37 + 11) % 96] + x[i];
#pragma unroll
        for (int k = 0; k < 96; k++) sum[k] = more[k];
    }
#pragma unroll
    for (int k = 0; k < 96; k++) y[k * 1024 + threadIdx.x] = sum[k];
}
