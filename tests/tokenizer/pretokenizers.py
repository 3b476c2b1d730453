"""The pre_tokenizer of each model family, as its published tokenizer.json has it, for the Hugging Face
tokenizers library. "default" is no published one: it is what llama.cpp does with files that name none."""
from tokenizers import Regex, pre_tokenizers as pre

SHORT_FORMS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CL100K = SHORT_FORMS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CAPITAL, SMALL = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
O200K = (rf"[^\r\n\p{{L}}\p{{N}}]?{CAPITAL}*{SMALL}+%(ending)s|[^\r\n\p{{L}}\p{{N}}]?{CAPITAL}+{SMALL}*%(ending)s|%(numbers)s"
         r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK_LETTERS = (
    "A-Za-z\u00B5\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u01BA\u01BC-\u01BF\u01C4-\u0293\u0295-\u02AF\u0370-\u0373\u0376\u0377"
    "\u037B-\u037D\u037F\u0386\u0388-\u038A\u038C\u038E-\u03A1\u03A3-\u03F5\u03F7-\u0481\u048A-\u052F\u0531-\u0556"
    "\u10A0-\u10C5\u13A0-\u13F5\u13F8-\u13FD\u1C90-\u1CBA\u1CBD-\u1CBF\u1D00-\u1D2B\u1D6B-\u1D77\u1D79-\u1D9A\u1E00-\u1F15"
    "\u1F18-\u1F1D\u1F20-\u1F45\u1F48-\u1F4D\u1F50-\u1F57\u1F59\u1F5B\u1F5D\u1F5F-\u1F7D\u1F80-\u1FB4\u1FB6-\u1FBC\u1FBE"
    "\u1FC2-\u1FC4\u1FC6-\u1FCC\u1FD0-\u1FD3\u1FD6-\u1FDB\u1FE0-\u1FEC\u1FF2-\u1FF4\u1FF6-\u1FFC\u2102\u2107\u210A-\u2113"
    "\u2115\u2119-\u211D\u2124\u2126\u2128\u212A-\u212D\u212F-\u2134\u2139\u213C-\u213F\u2145-\u2149\u214E\u2183\u2184"
    "\u2C00-\u2C7B\u2C7E-\u2CE4\u2CEB-\u2CEE\u2CF2\u2CF3\uA640-\uA66D\uA680-\uA69B\uA722-\uA76F\uA771-\uA787\uA78B-\uA78E"
    "\uAB70-\uABBF\uFB00-\uFB06\uFB13-\uFB17\uFF21-\uFF3A\uFF41-\uFF5A\U00010400-\U0001044F\U000104B0-\U000104D3"
    "\U000104D8-\U000104FB\U00010C80-\U00010CB2\U00010CC0-\U00010CF2\U000118A0-\U000118DF\U0001E900-\U0001E943")
DEEPSEEK_CJK = "[\u4E00-\u9FA5\u0800-\u4E00\uAC00-\uD7FF]+"


def split(pattern):
    return pre.Split(Regex(pattern), "isolated")


def last():  # bytes become letters
    return pre.ByteLevel(add_prefix_space=False, use_regex=False)


def words():  # the same after cutting by GPT2
    return pre.ByteLevel(add_prefix_space=False, use_regex=True)


def sequence(*steps):
    return pre.Sequence(list(steps))


PRETOKENIZERS = {
    "default": sequence(split(r"[\p{P}$+<=>^~|]+"), split(GPT2), split(r"\p{N}+"), split("[0-9][0-9][0-9]"), last()),
    "gpt-2": words(),
    "llama-bpe": sequence(split(CL100K % r"\p{N}{1,3}"), last()),
    "qwen2": sequence(split(CL100K % r"\p{N}"), last()),
    "smollm": sequence(pre.Digits(individual_digits=True), words()),
    "starcoder": sequence(pre.Digits(individual_digits=True), words()),
    "refact": sequence(pre.Digits(individual_digits=True), words()),
    "command-r": sequence(pre.Digits(individual_digits=True), words()),
    "deepseek-llm": sequence(split("[\r\n]"), split(rf"\s?[{DEEPSEEK_LETTERS}]+"), split("\\s?[!-/:-~\uFF01-\uFF0F\uFF1A-\uFF5E\u2018-\u201F\u3000-\u3002]+"),
                             split(r"\s+$"), split(DEEPSEEK_CJK), pre.Digits(individual_digits=True), last()),
    "deepseek-coder": sequence(split("[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split(DEEPSEEK_CJK),
                               pre.Digits(individual_digits=True), last()),
    "falcon": sequence(pre.Punctuation("contiguous"), words(), pre.Digits(individual_digits=False), split("[0-9][0-9][0-9]")),
    "mpt": words(),
    "tekken": sequence(split(O200K % {"numbers": r"\p{N}", "ending": ""}), last()),
    "gpt-4o": sequence(split(O200K % {"numbers": r"\p{N}{1,3}", "ending": SHORT_FORMS + "?"}), last()),
}
WHOLE_WORDS = {"llama-bpe", "tekken"}  # "ignore_merges": true
