/* planted_spill.cu - 96 sums that all live at once, in a group of 1024 threads, which have 64 registers each. */
extern "C" __global__ void __launch_bounds__(1024, 1) planted_spill(const float *x, float *y, int n)
{
    float sum[96];
#pragma unroll
    for (int k = 0; k < 96; k++) sum[k] = x[k];
    for (int i = 0; i < n; i++) {
#pragma unroll
        for (int k = 0; k < 96; k++) sum[k] += sum[(k + 1) % 96] * x[i];
    }
#pragma unroll
    for (int k = 0; k < 96; k++) y[threadIdx.x * 96 + k] = sum[k];
}
