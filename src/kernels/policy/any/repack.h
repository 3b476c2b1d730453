/* policy/any/repack.h - the repack stage for a weight of any format. */
FND_INLINE void any_repack(fnd_thread t, u8 *tiles, fnd_weight w, u32 bytes, u32 rows, u32 dim) {
    ((const fnd_policy_ops *)w.ops)->repack(t, tiles, w, bytes, rows, dim);
}
