/* policy/any/embed.h - the embed stage for a weight of any format. */
FND_INLINE void any_embed(fnd_thread t, fnd_act y, const u32 *ids, fnd_weight w, u32 tokens, u32 dim, u32 vocab) {
    ((const fnd_policy_ops *)w.ops)->embed(t, y, ids, w, tokens, dim, vocab);
}
