#!/usr/bin/env python3
"""Records the ids that other programs make of the strings in strings.json, and of random ones, with
small vocabularies trained here, in cases.json:

    pip install tokenizers sentencepiece tiktoken
    python3 tests/tokenizer/record.py

"bpe": one byte-level vocabulary, trained without cutting text into words, so that a wrong cut changes
ids; with each pre-tokenizer, by Hugging Face's tokenizers. Where OpenAI's tiktoken has the same
expressions it must agree. "spm": two SentencePiece vocabularies, by sentencepiece itself. "special":
texts with special tokens, by tokenizers again.

Ids are recorded as "count:hash", the hash being 64-bit FNV-1a over ids of four bytes, lowest first."""
import io
import json
import pathlib
import random

import sentencepiece
import tiktoken
import tokenizers
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, trainers

from pretokenizers import CL100K, O200K, PRETOKENIZERS, SHORT_FORMS, WHOLE_WORDS, last

HERE = pathlib.Path(__file__).parent
STRINGS = [s for group in json.loads((HERE / "strings.json").read_text(encoding="utf-8")).values() for s in group]
PROSE = (HERE.parent / "golden/text-a.txt").read_text(encoding="utf-8")
CORPUS = PROSE.split("\n\n") + STRINGS


def digest(ids):
    h = 0xCBF29CE484222325
    for i in ids:
        for b in i.to_bytes(4, "little"):
            h = (h ^ b) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{len(ids)}:{h:016x}"


def random_strings(count):
    """Characters of all kinds that Unicode 8 has, as thickly as possible."""
    source = random.Random(8)
    kinds = [" ", "  ", "\n", "\r\n", "\t", "\u00A0", "\u3000", "\u2028", "\v", "\u0085", "'", "'s", "'LL", "'ve", "a", "b", "Z", "xyz", "ABC", "aB", "1", "23",
             "4567", ".", ",", "!?", "/", "//", "$", "+", "<", "=", ">", "^", "`", "|", "~", "_", "-", "\u00E9", "e\u0301", "\u0301", "\u00DF", "\u01C5", "\u02B0",
             "\u00AA", "\u00B2", "\u00BD", "\u2167", "\u0663", "\u0967", "\u4E00", "\u3042", "\uAC00", "\u0E01\u0E31", "\u0939\u093F", "\u05D0", "\u0627", "\u03A9",
             "\u0416", "\u0436", "\u3002", "\uFF0C", "\u2019", "\u201C", "\u2026", "\u20AC", "\u2200", "\u00A6", "\U0001F600", "\u200D", "\uFE0F", "\u200B", "\u0000",
             "\u0007", "\u00AD", "\uFEFF", "\uFFFD", "\uE000", "\u2160", "\u24B6", "\uFB01", "\U00010400", "\U0001D7D8", "\u180E"]
    return ["".join(source.choice(kinds) for _ in range(source.randint(3, 24))) for _ in range(count)]


RANDOM = random_strings(260)
TEXTS = STRINGS + RANDOM


def byte_vocabulary(size):
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = last()
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    trained.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False))
    model = json.loads(trained.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    merges = [tuple(m) for m in model["merges"]]
    # Whole words that no merges make: only pre-tokenizers that look whole words up give them.
    extra = [w for w in ["\u0120lighthouse", "keeper", "\u0120harbour", "\u0120notebooks", "camel", "Case", "iPhone", "123", "\u0120\u0120\u0120", "!!!", "\u00C3\u00A9"] if w not in model["vocab"]]
    return tokens + extra, merges


def check_tiktoken(tokens, merges, name, pattern):
    """The same by ranks of tokens, where every merge makes the next token and there are no other tokens."""
    letters = {l: b for b, l in ((b, last().pre_tokenize_str(chr(b))[0][0]) for b in range(128))}
    for b in range(128, 256):  # lead and other bytes, taken from characters that have them
        for c in range(0x80, 0x110000, 0x3F if b >= 0xC2 else 1):
            if 0xD800 <= c < 0xE000 or b in (0xC0, 0xC1) or b >= 0xF5:
                continue
            raw = chr(c).encode()
            if b in raw:
                letters[last().pre_tokenize_str(chr(c))[0][0][raw.index(b)]] = b
                break
    ranks = {}
    for t in [t for t in tokens if len(t) == 1 and t in letters] + [a + b for a, b in merges]:
        ranks.setdefault(bytes(letters[c] for c in t), len(ranks))
    encoding = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    hf = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges, ignore_merges=name in WHOLE_WORDS))
    hf.pre_tokenizer = PRETOKENIZERS[name]
    for text in TEXTS:
        if any(t in text for t in ("keeper", "camel", "Case", "iPhone", "123", "   ", "!!!", "é", "lighthouse", "harbour", "notebooks")):
            continue
        mine = [bytes(letters[c] for c in tokens[i]) for i in hf.encode(text, add_special_tokens=False).ids]
        theirs = [encoding.decode_single_token_bytes(i) for i in encoding.encode_ordinary(text)]
        assert mine == theirs, (name, text, mine, theirs)


def record_bpe():
    tokens, merges = byte_vocabulary(1300)
    for name, pattern in (("llama-bpe", CL100K % r"\p{N}{1,3}"), ("qwen2", CL100K % r"\p{N}"), ("tekken", O200K % {"numbers": r"\p{N}", "ending": ""}),
                          ("gpt-4o", O200K % {"numbers": r"\p{N}{1,3}", "ending": SHORT_FORMS + "?"})):
        check_tiktoken(tokens, merges, name, pattern)
    ids = {}
    for name, pre in PRETOKENIZERS.items():
        t = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges, ignore_merges=name in WHOLE_WORDS))
        t.pre_tokenizer = pre
        ids[name] = [digest(t.encode(text, add_special_tokens=False).ids) for text in TEXTS]
    return {"tokens": tokens, "merges": [" ".join(m) for m in merges], "ids": ids}


def train_spm(**options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([line for text in [PROSE] * 40 + STRINGS for line in text.replace("\0", " ").split("\n") if line]), model_writer=model, model_type="bpe", byte_fallback=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, allow_whitespace_only_pieces=True, split_digits=True, minloglevel=2, **options)
    sp = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    types = [2 if sp.is_unknown(i) else 3 if sp.is_control(i) else 6 if sp.is_byte(i) else 1 for i in range(sp.vocab_size())]
    return sp, {"tokens": [sp.id_to_piece(i) for i in range(sp.vocab_size())], "scores": [round(sp.get_score(i), 6) for i in range(sp.vocab_size())], "types": types}


def record_spm():
    vocabularies = []
    for prefix, options in ((True, {"vocab_size": 1200, "character_coverage": 0.985}),
                            (False, {"vocab_size": 1000, "character_coverage": 0.98, "split_by_whitespace": False, "add_dummy_prefix": False, "user_defined_symbols": ["<x>", "don't"]})):
        sp, v = train_spm(**options)
        for i, token in enumerate(v["tokens"]):
            if token in ("<x>", "don't"):
                v["types"][i] = 4
        # A text's own U+2581 becomes a space, and NUL ends texts in sentencepiece's Python.
        v["add_space_prefix"] = prefix
        v["ids"] = [digest(sp.encode(text)) if "\0" not in text else None for text in TEXTS]
        vocabularies.append(v)
    return vocabularies


SPECIAL = [("<unk>", False), ("<s>", False), ("</s>", True), ("<|endoftext|>", False), ("<|user|>", True), ("<|end|>", True), ("<|assistant|>", True)]
SPECIAL_TEXTS = ["<|user|>\nHello there<|end|>\n<|assistant|>\n", "a <|user|> \u3000\n b</s>  c", "<|endoftext|> x", "<|end|><|end|>   ", "<s> the keeper </s>the lamp", "<|end|>", " <|end|> ",
                 "x<|endoftext|><|user|>y", "the <|use r|> light", "<|assistant|>\t\u00A0\u2028z\n", "<unk>a<unk> b"]


def record_special(v):
    """The first vocabulary with the special tokens of Phi-3 behind it, as tokenizer.json files have
    such vocabularies: with merges in order of score. Twice: without and with white space taken along."""
    tokens = v["tokens"] + [name for name, _ in SPECIAL[3:]]
    vocab = {t: i for i, t in enumerate(tokens)}
    merges = [(-v["scores"][i], t[:k], t[k:]) for t, i in vocab.items() if i < len(v["tokens"]) and v["types"][i] == 1 for k in range(1, len(t)) if t[:k] in vocab and t[k:] in vocab]
    merges.sort(key=lambda m: m[0])
    cases = []
    for strip in (False, True):
        t = Tokenizer(models.BPE(vocab, [m[1:] for m in merges], byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
        t.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
        t.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
        t.add_special_tokens([AddedToken(name, rstrip=strip and takes, normalized=False) for name, takes in SPECIAL])
        cases.append([{"text": text, "ids": t.encode(text, add_special_tokens=False).ids} for text in SPECIAL_TEXTS])
    return {"tokens": [name for name, _ in SPECIAL[3:]], "plain": cases[0], "strip": cases[1]}


spm = record_spm()
data = {"made with": {"tokenizers": tokenizers.__version__, "sentencepiece": sentencepiece.__version__, "tiktoken": tiktoken.__version__},
        "random": RANDOM, "bpe": record_bpe(), "spm": spm, "special": record_special(spm[0])}
(HERE / "cases.json").write_text(json.dumps(data, ensure_ascii=True, separators=(",", ":")).replace('],"', '],\n"').replace('},"', '},\n"') + "\n", encoding="utf-8")
