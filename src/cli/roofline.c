/* roofline.c - the roofline picture. */
#include "cli/roofline.h"

#include <math.h>

enum { LEFT = 70,
       RIGHT = 740,
       TOP = 60,
       BOTTOM = 560,
       LIST = 800,
       LINE = 19,
       WIDTH = 1640 };

/* Logarithms to base 2 of the borders, y in 10^9 operations a second. */
typedef struct frame {
    double x0, x1, y0, y1;
} frame;

static double x_of(const frame *f, double ops_per_byte) { return LEFT + (log2(ops_per_byte) - f->x0) / (f->x1 - f->x0) * (RIGHT - LEFT); }
static double y_of(const frame *f, double gops) { return BOTTOM - (log2(gops) - f->y0) / (f->y1 - f->y0) * (BOTTOM - TOP); }

static double bytes_of(const fnd_profile_row *row) { return (double)(row->bytes_read + row->bytes_written); }
static double intensity(const fnd_profile_row *row) { return bytes_of(row) > 0 ? (double)row->ops / bytes_of(row) : 0; }
static double gops(const fnd_profile_row *row) { return row->total_ns ? (double)row->ops / (double)row->total_ns : 0; }
static bool is_kernel(const fnd_profile_row *row) { return row->kernel[0]; }
static bool is_drawn(const fnd_profile_row *row) { return is_kernel(row) && intensity(row) > 0 && gops(row) > 0; }

/* Everything that is drawn, with room around it, in whole powers of two. */
static frame frame_of(const fnd_cli_roofline *r) {
    double best = 1e-9 * fnd_cpu_best_rate(r->roofs->rates), ridge = best / r->roofs->read_gb_s;
    double x0 = 1, x1 = 2 * ridge, y0 = best / 4, y1 = best;
    for (size_t i = 0; i < r->count; i++) {
        const fnd_profile_row *row = &r->rows[i];
        if (!is_drawn(row)) continue;
        x0 = fmin(x0, intensity(row));
        x1 = fmax(x1, intensity(row));
        y0 = fmin(y0, gops(row));
        y1 = fmax(y1, gops(row));
    }
    return (frame){ floor(log2(x0)) - 0.5, ceil(log2(x1)) + 0.5, floor(log2(y0)) - 0.5, ceil(log2(y1)) + 0.5 };
}

/* What an XML text may hold; names of models may be anything. */
static void add_escaped(fnd_text *out, const char *text) {
    for (; *text; text++) {
        if (*text == '&' || *text == '<' || *text == '>')
            fnd_text_printf(out, "&#%d;", *text);
        else
            fnd_text_printf(out, "%c", *text < ' ' || *text > '~' ? '?' : *text);
    }
}

static void begin_text(fnd_text *out, double x, double y, const char *more) { fnd_text_printf(out, "<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, more); }
static void add_text(fnd_text *out, double x, double y, const char *more, const char *text) {
    begin_text(out, x, y, more);
    add_escaped(out, text);
    fnd_text_str(out, "</text>\n");
}

static void add_line(fnd_text *out, double x0, double y0, double x1, double y1, const char *more) {
    fnd_text_printf(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" %s/>\n", x0, y0, x1, y1, more);
}

static void power(double of_two, char *out, size_t bytes) { snprintf(out, bytes, of_two < 0 ? "1/%.0f" : "%.0f", exp2(fabs(of_two))); }

static void add_grid(const frame *f, fnd_text *out) {
    char label[32];
    for (double x = ceil(f->x0); x <= f->x1; x++) {
        double at = x_of(f, exp2(x));
        add_line(out, at, TOP, at, BOTTOM, "stroke=\"#e8e8e8\"");
        power(x, label, sizeof label);
        add_text(out, at, BOTTOM + 18, "text-anchor=\"middle\"", label);
    }
    for (double y = ceil(f->y0); y <= f->y1; y++) {
        double at = y_of(f, exp2(y));
        add_line(out, LEFT, at, RIGHT, at, "stroke=\"#e8e8e8\"");
        power(y, label, sizeof label);
        add_text(out, LEFT - 8, at + 4, "text-anchor=\"end\"", label);
    }
    add_text(out, (LEFT + RIGHT) / 2.0, BOTTOM + 40, "text-anchor=\"middle\"", "operations for each byte");
    add_text(out, LEFT - 55, TOP - 12, "", "10^9 operations/s");
}

static void add_roofs(const fnd_cli_roofline *r, const frame *f, fnd_text *out) {
    const char *roof = "stroke=\"#444\" stroke-width=\"1.5\"";
    double bandwidth = r->roofs->read_gb_s, best = 1e-9 * fnd_cpu_best_rate(r->roofs->rates), left = exp2(f->x0);
    double bottom = fmax(left, exp2(f->y0) / bandwidth); /* where the slope enters the frame */
    char label[96];
    add_line(out, x_of(f, bottom), y_of(f, bottom * bandwidth), x_of(f, best / bandwidth), y_of(f, best), roof);
    snprintf(label, sizeof label, "memory: %.1f GB/s", bandwidth);
    add_text(out, x_of(f, bottom) + 8, y_of(f, bottom * bandwidth) - 26, "", label);
    for (int i = 0; i < FND_UNIT_COUNT; i++) {
        double rate = 1e-9 * r->roofs->rates[i];
        if (rate <= 0) continue;
        add_line(out, x_of(f, rate / bandwidth), y_of(f, rate), RIGHT, y_of(f, rate), roof);
        snprintf(label, sizeof label, "%s: %.0f", fnd_unit_name((fnd_unit)i), rate);
        add_text(out, RIGHT - 6, y_of(f, rate) - 5, "text-anchor=\"end\"", label);
    }
}

/* Scopes of their own colours, in the order in which they appear. */
static const char *color_of(const fnd_cli_roofline *r, const fnd_profile_row *row) {
    static const char *const colors[] = { "#0072b2", "#d55e00", "#009e73", "#cc79a7" }; /* told apart by all eyes: Okabe and Ito 2008 */
    size_t scopes = 0;
    for (size_t i = 0; i < r->count; i++) {
        if (is_kernel(&r->rows[i])) continue;
        if (strcmp(r->rows[i].path, row->path) == 0) break;
        scopes++;
    }
    return colors[scopes % FND_COUNT(colors)];
}

static void add_kernel(const fnd_cli_roofline *r, const frame *f, const fnd_profile_row *row, uint32_t number, fnd_text *out) {
    char label[FND_PROFILE_PATH_BYTES + FND_PROFILE_KERNEL_BYTES + 160], name[FND_PROFILE_PATH_BYTES + FND_PROFILE_KERNEL_BYTES + 2];
    double share = r->totals->dispatch_ns ? (double)row->total_ns / (double)r->totals->dispatch_ns : 0, calls = row->calls ? (double)row->calls : 1;
    const char *color = color_of(r, row), *roof;
    double of_roof = 100 * fnd_profile_of_roof(row, r->totals, &roof);
    snprintf(name, sizeof name, "%s%s%s", row->path, row->path[0] ? "/" : "", row->kernel);
    if (is_drawn(row)) {
        snprintf(label, sizeof label, "%u  %s: %.3g MB, %.3g Mop a call; %.1f ops/byte, %.1f Gop/s, %.0f %% of the roof (%s), %.1f %% of the time", number, name, 1e-6 * bytes_of(row) / calls, 1e-6 * (double)row->ops / calls, intensity(row), gops(row), of_roof, roof, 100 * share);
        fnd_text_printf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"%s\" fill-opacity=\"0.35\" stroke=\"%s\"><title>", x_of(f, intensity(row)), y_of(f, gops(row)), 5 + 22 * sqrt(share), color, color);
        add_escaped(out, label);
        fnd_text_str(out, "</title></circle>\n");
        fnd_text_printf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" font-weight=\"bold\">%u</text>\n", x_of(f, intensity(row)), y_of(f, gops(row)) + 4, number);
    } else {
        double gb_s = row->total_ns ? bytes_of(row) / (double)row->total_ns : 0;
        snprintf(label, sizeof label, "%u  %s: only moves, %.3g MB a call; %.2f GB/s, %.0f %% of the roof (%s), %.1f %% of the time", number, name, 1e-6 * bytes_of(row) / calls, gb_s, of_roof, roof, 100 * share);
    }
    begin_text(out, LIST, TOP + LINE * (double)number, "");
    fnd_text_printf(out, "<tspan fill=\"%s\">&#9679;</tspan> ", color);
    add_escaped(out, label);
    fnd_text_str(out, "</text>\n");
}

void fnd_cli_roofline_draw(const fnd_cli_roofline *r, fnd_text *out) {
    frame f = frame_of(r);
    uint32_t kernels = 0;
    for (size_t i = 0; i < r->count; i++) kernels += is_kernel(&r->rows[i]);
    double height = fmax(BOTTOM + 60, TOP + LINE * (kernels + 2.0));
    fnd_text_printf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" viewBox=\"0 0 %d %.0f\" font-family=\"sans-serif\" font-size=\"12\">\n", WIDTH, height, WIDTH, height);
    fnd_text_printf(out, "<rect width=\"%d\" height=\"%.0f\" fill=\"white\"/>\n", WIDTH, height);
    add_text(out, LEFT, 24, "font-size=\"15\"", r->model);
    add_text(out, LIST, 24, "", r->device);
    add_grid(&f, out);
    add_roofs(r, &f, out);
    kernels = 0;
    for (size_t i = 0; i < r->count; i++) {
        if (is_kernel(&r->rows[i])) add_kernel(r, &f, &r->rows[i], ++kernels, out);
    }
    fnd_text_str(out, "</svg>\n");
}
