/* policy/any/dot.h - the dot stage for a weight of any format. */
FND_INLINE fnd_tile any_dot(fnd_thread t, fnd_weight w, fnd_rows r, fnd_span s, fnd_x x) {
    fnd_tile out;
    ((const fnd_policy_ops *)w.ops)->dot[FND_TOKENS > 1](&out, t, w, r, s, x);
    return out;
}
