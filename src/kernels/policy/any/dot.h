/* policy/any/dot.h - the dot stage for a weight of any format. */
FND_INLINE fnd_tile any_dot(fnd_thread t, fnd_weight w, fnd_rows r, fnd_span s, fnd_x x) {
    const fnd_policy_ops *ops = (const fnd_policy_ops *)w.ops;
    fnd_tile out;
#ifdef FND_PANELS
    if (x.panels && ops->panel_dot) {
        ops->panel_dot(&out, t, w, r, s, x);
        return out;
    }
#endif
    ops->dot[FND_TOKENS > 1](&out, t, w, r, s, x);
    return out;
}
