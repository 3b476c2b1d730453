/* tokenizer_pre.c - the pre-tokenizers by name, as data.
 *
 * Each is the published definition of its model family (pre_tokenizer in the model's tokenizer.json),
 * in the order in which it is applied there; "default" is what llama.cpp does with files that name
 * none. Normalisers of those definitions (NFC) are left out, so that every text comes back byte for
 * byte.
 *
 * White space is spelt out because PCRE2's \s contains U+180E, which is no white space since
 * Unicode 6.3. Digits are \p{N}: decimal digits, letter-like numbers and the others. */
#include "base/base.h"
#include "lm/tokenizer_split.h"

#include <stdio.h>

#define WS    "\\t-\\r\\x{85}\\p{Z}"
#define SPACE "[" WS "]"
/* White space at the end of a word's left: all of it but the last, which belongs to the word. */
#define SPACES      SPACE "+(?![^" WS "])|" SPACE "+"
#define SHORT_FORMS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"

#define EACH_DIGIT \
    { "\\p{N}", false }
#define GPT2_WORDS \
    { "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" WS "\\p{L}\\p{N}]+|" SPACES, false }

/* Letters with one leading character that is no letter, numbers, marks with the line ends behind them. */
#define CL100K_WORDS(numbers) \
    { SHORT_FORMS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" numbers "| ?[^" WS "\\p{L}\\p{N}]+[\\r\\n]*|" SPACE "*[\\r\\n]+|" SPACES, false }

/* The same with words cut where small letters are followed by capitals: camelCase is two words. */
#define CAPITAL "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define SMALL   "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define O200K_WORDS(numbers, ending) \
    { "[^\\r\\n\\p{L}\\p{N}]?" CAPITAL "*" SMALL "+" ending "|[^\\r\\n\\p{L}\\p{N}]?" CAPITAL "+" SMALL "*" ending "|" numbers "| ?[^" WS "\\p{L}\\p{N}]+[\\r\\n/]*|" SPACE "*[\\r\\n]+|" SPACES, \
      false }

/* U+4E00-9FA5, U+0800-4E00, U+AC00-D7FF */
#define DEEPSEEK_CJK \
    { "[\\x{4E00}-\\x{9FA5}\\x{0800}-\\x{4E00}\\x{AC00}-\\x{D7FF}]+", false }
/* Letters with case: Latin, Greek, Cyrillic, Armenian, Georgian, Cherokee, letter-like signs,
 * Glagolitic, Coptic, ligatures, full-width forms, Deseret, Osage, Old Hungarian, Warang Citi, Adlam. */
#define DEEPSEEK_LETTERS \
    "A-Za-z\\x{B5}\\x{C0}-\\x{D6}\\x{D8}-\\x{F6}\\x{F8}-\\x{1BA}\\x{1BC}-\\x{1BF}\\x{1C4}-\\x{293}\\x{295}-\\x{2AF}\\x{370}-\\x{373}" \
    "\\x{376}\\x{377}\\x{37B}-\\x{37D}\\x{37F}\\x{386}\\x{388}-\\x{38A}\\x{38C}\\x{38E}-\\x{3A1}\\x{3A3}-\\x{3F5}\\x{3F7}-\\x{481}" \
    "\\x{48A}-\\x{52F}\\x{531}-\\x{556}\\x{10A0}-\\x{10C5}\\x{13A0}-\\x{13F5}\\x{13F8}-\\x{13FD}\\x{1C90}-\\x{1CBA}\\x{1CBD}-\\x{1CBF}" \
    "\\x{1D00}-\\x{1D2B}\\x{1D6B}-\\x{1D77}\\x{1D79}-\\x{1D9A}\\x{1E00}-\\x{1F15}\\x{1F18}-\\x{1F1D}\\x{1F20}-\\x{1F45}\\x{1F48}-\\x{1F4D}" \
    "\\x{1F50}-\\x{1F57}\\x{1F59}\\x{1F5B}\\x{1F5D}\\x{1F5F}-\\x{1F7D}\\x{1F80}-\\x{1FB4}\\x{1FB6}-\\x{1FBC}\\x{1FBE}\\x{1FC2}-\\x{1FC4}" \
    "\\x{1FC6}-\\x{1FCC}\\x{1FD0}-\\x{1FD3}\\x{1FD6}-\\x{1FDB}\\x{1FE0}-\\x{1FEC}\\x{1FF2}-\\x{1FF4}\\x{1FF6}-\\x{1FFC}\\x{2102}\\x{2107}" \
    "\\x{210A}-\\x{2113}\\x{2115}\\x{2119}-\\x{211D}\\x{2124}\\x{2126}\\x{2128}\\x{212A}-\\x{212D}\\x{212F}-\\x{2134}\\x{2139}" \
    "\\x{213C}-\\x{213F}\\x{2145}-\\x{2149}\\x{214E}\\x{2183}\\x{2184}\\x{2C00}-\\x{2C7B}\\x{2C7E}-\\x{2CE4}\\x{2CEB}-\\x{2CEE}" \
    "\\x{2CF2}\\x{2CF3}\\x{A640}-\\x{A66D}\\x{A680}-\\x{A69B}\\x{A722}-\\x{A76F}\\x{A771}-\\x{A787}\\x{A78B}-\\x{A78E}\\x{AB70}-\\x{ABBF}" \
    "\\x{FB00}-\\x{FB06}\\x{FB13}-\\x{FB17}\\x{FF21}-\\x{FF3A}\\x{FF41}-\\x{FF5A}\\x{10400}-\\x{1044F}\\x{104B0}-\\x{104D3}" \
    "\\x{104D8}-\\x{104FB}\\x{10C80}-\\x{10CB2}\\x{10CC0}-\\x{10CF2}\\x{118A0}-\\x{118DF}\\x{1E900}-\\x{1E943}"

static const fnd_pretokenizer pretokenizers[] = {
    { .names = { "default" }, .steps = { { "[\\p{P}$+<=>^~|]+", false }, GPT2_WORDS, { "\\p{N}+", false }, { "[0-9][0-9][0-9]", false } } },
    { .names = { "gpt-2" }, .steps = { GPT2_WORDS } },
    { .names = { "llama-bpe", "llama3", "llama-v3" }, .adds_bos = true, .whole_words = true, .steps = { CL100K_WORDS("\\p{N}{1,3}") } },
    { .names = { "qwen2" }, .steps = { CL100K_WORDS("\\p{N}") } },
    { .names = { "smollm" }, .steps = { EACH_DIGIT, GPT2_WORDS } },
    { .names = { "starcoder" }, .steps = { EACH_DIGIT, GPT2_WORDS } },
    { .names = { "refact" }, .steps = { EACH_DIGIT, GPT2_WORDS } },
    { .names = { "command-r" }, .steps = { EACH_DIGIT, GPT2_WORDS } },
    { .names = { "deepseek-llm" },
      .steps = { { "[\\r\\n]", false },
                 { SPACE "?[" DEEPSEEK_LETTERS "]+", false },
                 { SPACE "?[!-/:-~\\x{FF01}-\\x{FF0F}\\x{FF1A}-\\x{FF5E}\\x{2018}-\\x{201F}\\x{3000}-\\x{3002}]+", false },
                 { "(?<!" SPACE ")" SPACE "++\\z", false }, /* \s+$, tried once for each run */
                 DEEPSEEK_CJK,
                 EACH_DIGIT } },
    { .names = { "deepseek-coder" }, .steps = { { "[\\r\\n]", false }, { SPACE "?\\p{L}+", false }, { SPACE "?\\p{P}+", false }, DEEPSEEK_CJK, EACH_DIGIT } },
    /* Falcon looks for numbers after bytes have become letters, where the bytes B2, B3, B9 and BC to BE
     * are superscripts and fractions: its last two steps see bytes. */
    { .names = { "falcon" }, .steps = { { "[\\p{P}$+<=>^`~|]+", false }, GPT2_WORDS, { "[0-9\\xB2\\xB3\\xB9\\xBC-\\xBE]+", true }, { "[0-9][0-9][0-9]", true } } },
    { .names = { "mpt" }, .steps = { GPT2_WORDS } },
    { .names = { "tekken" }, .adds_bos = true, .whole_words = true, .steps = { O200K_WORDS("\\p{N}", "") } },
    { .names = { "gpt-4o" }, .steps = { O200K_WORDS("\\p{N}{1,3}", SHORT_FORMS "?") } },
};

const fnd_pretokenizer *fnd_pretokenizer_at(size_t i) { return i < FND_COUNT(pretokenizers) ? &pretokenizers[i] : NULL; }

fnd_status fnd_pretokenizer_find(fnd_span name, const fnd_pretokenizer **out, fnd_error *err) {
    char shown[64], known[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < FND_COUNT(pretokenizers); i++) {
        for (size_t k = 0; k < FND_COUNT(pretokenizers[i].names) && pretokenizers[i].names[k]; k++) {
            const char *one = pretokenizers[i].names[k];
            if (fnd_span_equal(name, one)) {
                *out = &pretokenizers[i];
                return FND_OK;
            }
            if (used < sizeof known) used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", one);
        }
    }
    return fnd_fail(err, FND_ERR_UNSUPPORTED, "the pre-tokenizer \"%s\" (tokenizer.ggml.pre) is not supported; supported are: %s", fnd_span_quote(name, shown, sizeof shown), known);
}
