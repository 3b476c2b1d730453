/* gemv/panel_dot.cpu.h - POLICY_dot from panels (gemv/panel.cpu.h): the first tile of a panel that is asked
 * for has all of it multiplied with all tokens, by POLICY_panel_fill(x, data, row, end, sums); the others find
 * their sums there. A template, for gemv/panel_halves.cpu.h and panel_codes.cpu.h. */

#define P_(name) FND_CAT(POLICY, name)

FND_INLINE fnd_tile P_(_panel_dot)(fnd_weight w, fnd_rows r, fnd_span s, fnd_x x) {
    fnd_panels *p = x.panels;
    u32 place = p->data[0] == w.data ? 0 : p->data[1] == w.data ? 1 : p->next;
    if (p->data[place] != w.data || p->first[place] != r.first) {
        p->data[place] = w.data;
        p->first[place] = r.first;
        p->next = !place;
        P_(_panel_fill)(x, w.data, r.first, r.end, p->sums[place]);
    }
    const f32 *sums = p->sums[place] + ((u64)((r.row - r.first) / FND_VEC) * ((x.tokens + 15) / 16 * 16) + s.first) * FND_VEC;
    fnd_tile out;
    for (u32 i = 0; i < s.count; i++) out.of[i] = fnd_vec_load(sums + i * FND_VEC);
    return out;
}
#ifdef FND_PANEL_HALVES /* there is no other way */
FND_INLINE fnd_tile P_(_dot)(fnd_thread t, fnd_weight w, fnd_rows r, fnd_span s, fnd_x x) {
    (void)t;
    return P_(_panel_dot)(w, r, s, x);
}
#endif
#undef P_
