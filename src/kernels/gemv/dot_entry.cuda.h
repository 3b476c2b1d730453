/* gemv/dot_entry.cuda.h - POLICY_dot by POLICY_dot_rows: weights from memory, or from the program's weight
 * stream, and what brings them there.
 *
 * A template: included once for every POLICY. */
#ifdef FND_STREAM
/* That all lies in the group's memory has to be seen here: a pointer given to a function may be to any. */
FND_SHARED_CODE fnd_tile P_(_dot_piece)(fnd_thread t, u32 at, fnd_rows r, fnd_span s, u32 cols) {
    t.scratch = fnd_cuda_shared;
    fnd_x x = fnd_x_begin(t, cols, 1);
    FND_DOT_BY_ROWS(P_(_dot_rows), t, r, fnd_cuda_shared + at, s, x)
}
FND_INLINE u32 P_(_pitch)(u32 cols) { return (u32)fnd_row_pitch(P_(_row_bytes)(cols)); }
FND_INLINE fnd_tile P_(_dot)(fnd_thread &t, fnd_weight w, fnd_rows r, fnd_span s, fnd_x x) {
    (void)w;
    u32 at = fnd_stream_take(t.next_chunk++, t.lane) + t.rows_before * P_(_pitch)(x.cols);
    fnd_tile tile = P_(_dot_piece)(t, at, r, s, x.cols);
    fnd_stream_free(t.next_piece++, t.lane);
    return tile;
}
FND_INLINE fnd_matrix P_(_matrix)(fnd_weight w, u32 cols) {
    fnd_matrix m;
    m.data = w.data;
    m.pitch = P_(_pitch)(cols);
    return m;
}
#else
FND_SHARED_CODE fnd_tile P_(_dot)(fnd_thread t, fnd_weight w, fnd_rows r, fnd_span s, fnd_x x) {
    const u8 *rows = w.data + r.row * fnd_row_pitch(P_(_row_bytes)(x.cols));
    FND_DOT_BY_ROWS(P_(_dot_rows), t, r, rows, s, x)
}
#endif
