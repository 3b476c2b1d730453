#!/usr/bin/env python3
"""Measures foundry beside llama.cpp on this CPU and writes a table to bench/results/.

Both programs run the same file with the same number of threads, in turns (the order changes every
round): a prompt of 512 tokens from nothing (prefill), and 64 tokens one by one from an empty
context or behind --depth others (decode), as llama-bench does. The figures are medians over the
rounds, in tokens per second. The answer to a question is checked before anything is timed. The
read bandwidth is measured by foundry right before each of its runs, with the same threads.

With several --prompt-tokens each round times all of them, in turns too, and the table has the
speed of each beside that of the first. With several --isa each level is a program of its own in
the round. --kv-type is given to both programs, to the peer with flash attention, which it asks for.

A model is a name that scripts/fetch-model.sh knows, a file, or synth:ARCH:SIZE:FORMAT, which
foundry synth writes (random weights: their portable and their fast logits are compared instead).

On some small virtual machines the host moves the two CPUs between a near and a far place. The
hand-off between them is measured around every run of two threads. Where it shows two places, only
the one seen most often enters the table, for both programs, and rounds are added until it has 3.

    bench/bench-cpu.py --foundry build/foundry --peer "$(bench/peer-llama.sh)"
    make bench-cpu BENCH_ARGS="--models synth:qwen2:1.5b:q8_0 --prompt-tokens 512 4096 --no-generic --name cpu-prompts"
    make bench-cpu BENCH_ARGS="--models synth:qwen2:1.5b:q8_0 --depth 16384 --kv-type q8_0 --no-generic --name cpu-depth"
    make bench-cpu BENCH_ARGS="--isa amx amx_bf16 v4_vnni --no-generic --name cpu-levels"
"""
import argparse
import datetime
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODELS = ["smollm2-135m", "qwen2.5-coder-0.5b"]


def run(*command):
    done = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        sys.stderr.write(done.stderr[-2000:])
        sys.exit(f"failed with exit code {done.returncode}: {' '.join(map(str, command))}")
    return done.stdout


def median(values):
    return statistics.median(values) if values else float("nan")


class Machine:
    """What this machine is, and where its two CPUs are just now."""

    def __init__(self):
        text = pathlib.Path("/proc/cpuinfo").read_text() if pathlib.Path("/proc/cpuinfo").exists() else ""
        field = dict((k.strip(), v.strip()) for k, _, v in (l.partition(":") for l in text.splitlines()))
        flags = field.get("flags", field.get("Features", "")).split()
        vendor = {"GenuineIntel": "intel", "AuthenticAMD": "amd"}.get(field.get("vendor_id"), "arm")
        names = [("amx_int8", "amx"), ("avx512_vnni", "avx512vnni"), ("avx2", "avx2"), ("asimd", "neon")]
        self.best = next((name for flag, name in names if flag in flags), "portable")
        self.kind = f"{vendor}-{self.best}"
        self.model = field.get("model name", "unknown CPU")
        self.cpus = text.count("processor\t") or 1
        self.probe = ROOT / "build/handoff"
        self.probe.parent.mkdir(exist_ok=True)
        run("cc", "-O2", "-pthread", ROOT / "bench/handoff.c", "-o", self.probe)

    def handoff(self, threads):
        return median([float(run(self.probe)) for _ in range(3)]) if threads > 1 and self.cpus > 1 else 1.0


def in_turns(values, turn):
    return list(values) if turn % 2 == 0 else list(reversed(values))


def prefills(speeds):
    """Figures of prompts: the speed of each length, and beside that of the first."""
    first = next(iter(speeds.values()))
    return {**{f"prefill {n}": v for n, v in speeds.items()}, **{f"prefill {n} of first": v / first for n, v in speeds.items()}}


class Ours:
    def __init__(self, program, args, *options):
        self.program, self.args = program, args
        self.options = [*options, *(["--kv-type", args.kv_type] if args.kv_type else [])]

    def measure(self, model, threads, turn):
        a, speeds, decode = self.args, {}, {}
        for n in in_turns(a.prompt_tokens, turn):
            decodes = n == a.prompt_tokens[0]
            out = json.loads(run(self.program, "bench", "--model", model, "--prompt-tokens", n, "--tokens", a.tokens if decodes else 1,
                                 "--depth", a.depth if decodes else 0, "--repeat", 1, "--json", "--threads", threads, *self.options))
            speeds[n] = out["prefill_tok_s"]
            if decodes:
                decode = {key: out[key] for key in ("decode_tok_s", "decode_gb_s", "read_gb_s")}
                decode["of_read"] = out["decode_gb_s"] / out["read_gb_s"]
        return {**prefills({n: speeds[n] for n in a.prompt_tokens}), **decode}


class Peer:
    def __init__(self, program, args):
        self.program, self.args = program, args
        self.options = ["-ctk", args.kv_type, "-ctv", args.kv_type, "-fa", 1] if args.kv_type else []

    def measure(self, model, threads, turn):
        a = self.args

        def bench(*tests):
            return json.loads(run(self.program, "-m", model, "-t", threads, "-r", 1, "-o", "json", *self.options, *tests))

        prompts = ",".join(map(str, in_turns(a.prompt_tokens, turn)))
        if a.depth:
            out = bench("-p", prompts, "-n", 0) + bench("-p", 0, "-n", a.tokens, "-d", a.depth)
        else:
            out = bench("-p", prompts, "-n", a.tokens)
        speeds = {r["n_prompt"]: r["avg_ts"] for r in out if r["n_prompt"]}
        return {**prefills({n: speeds[n] for n in a.prompt_tokens}), "decode_tok_s": next(r["avg_ts"] for r in out if r["n_gen"])}


def split(handoffs):
    """The hand-off that parts near from far, or None: a gap in the sorted values tells two places."""
    values = sorted(handoffs)
    gaps = [(b / a, (a * b) ** 0.5) for a, b in zip(values, values[1:])]
    widest, middle = max(gaps, default=(1, None))
    return middle if widest > 1.6 else None


def alternate(machine, programs, model, threads, rounds):
    """{name: {figure: median}}, where the CPUs were, and the number of rounds that count."""
    runs = []  # (name, hand-off before, after, figures)
    for turn in range(2 * rounds):
        for name in in_turns(list(programs), turn):
            before = machine.handoff(threads)
            figures = programs[name].measure(model, threads, turn)
            runs.append((name, before, machine.handoff(threads), figures))
            where = f", hand-off {before:.0f} to {runs[-1][2]:.0f} ns" if threads > 1 else ""
            said = ", ".join(f"{key} {value:.0f}" for key, value in figures.items() if re.fullmatch(r"prefill \d+", key))
            print(f"  {threads} threads, round {turn + 1}, {name}: {said}, decode {figures['decode_tok_s']:.1f} tok/s{where}", file=sys.stderr)
        middle = split([h for r in runs for h in r[1:3]]) if threads > 1 else None
        places = {}
        for name, before, after, figures in runs:
            if middle is None or (before < middle) == (after < middle):
                place = "" if middle is None else "near" if before < middle else "far"
                places.setdefault(place, {n: [] for n in programs})[name].append((before, after, figures))
        place, kept = max(places.items(), key=lambda p: min(map(len, p[1].values())), default=("", {}))
        count = min(map(len, kept.values()), default=0)
        if turn + 1 >= rounds and count >= min(3, rounds):
            break
    if not count:
        sys.exit("the CPUs never stayed in one place for both programs; run it again")
    medians = {n: {key: median([f[key] for _, _, f in r]) for key in r[0][2]} for n, r in kept.items()}
    handoff = median([h for r in kept.values() for run in r for h in run[:2]])
    return medians, f"{place} {handoff:.0f} ns".strip() if threads > 1 else "-", count


def logits(foundry, model, *options):
    """{id: log-probability} of the likeliest tokens behind a few ids."""
    out = json.loads(run(foundry, "logits", "--model", model, "--ids", "1,20,300,4", "--top", 256, "--json", *options))
    return {t["id"]: t["logprob"] for t in out}


def check_answer(ours, name, model):
    foundry, options = ours.program, ours.options
    if not name.startswith("synth:"):
        answer = run(foundry, "run", "--model", model, "--temperature", 0, "--max-tokens", 24,
                     "--prompt", "Name the capital of France.", *options)
        if "Paris" not in answer:
            sys.exit(f"{name} answers wrongly, so its speed means nothing: {answer!r}")
        return
    exact, fast = logits(foundry, model, "--isa", "generic"), logits(foundry, model, *options)
    best = max(exact, key=exact.get)
    if best not in fast or abs(fast[best] - exact[best]) > 0.25:
        sys.exit(f"{name}: the likeliest token {best} has {exact[best]:.3f} by the portable texts, {fast.get(best)} otherwise")


def file_of(foundry, name):
    """The model's file; a synthetic one is written once and kept."""
    if pathlib.Path(name).is_file():
        return name
    if not name.startswith("synth:"):
        return run(ROOT / "scripts/fetch-model.sh", name).strip()
    _, arch, size, fmt = name.split(":")
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "foundry/synth"
    cache.mkdir(parents=True, exist_ok=True)
    file = cache / f"{arch}-{size}-{fmt.upper()}.gguf"
    if not file.is_file():
        run(foundry, "synth", "--arch", arch, "--size", size, "--format", fmt, "-o", file)
    return file


def columns(args, name, level, threads, place, count, ours, peer):
    """One row of the table, as pairs of its head and text. peer: None, or what it reached."""
    row = [("model", name), *([("level", level)] if args.isa else []), ("threads", threads), ("hand-off", place),
           ("read GB/s", f"{ours['read_gb_s']:.1f}"), ("rounds", count)]

    def beside(head, key, digits):
        row.append((head, f"{ours[key]:.{digits}f}"))
        if peer:
            row.extend([("llama.cpp", f"{peer[key]:.{digits}f}"), ("ratio", f"{ours[key] / peer[key]:.2f} x")])

    for n in args.prompt_tokens:
        beside(f"prefill {n}", f"prefill {n}", 0)
    for n in args.prompt_tokens[1:]:
        row.append((f"{n} / {args.prompt_tokens[0]}", f"{ours[f'prefill {n} of first']:.2f} x"))
        if peer:
            row.append(("llama.cpp", f"{peer[f'prefill {n} of first']:.2f} x"))
    beside("decode", "decode_tok_s", 1)
    return [*row, ("decode GB/s", f"{ours['decode_gb_s']:.1f}"), ("of read bandwidth", f"{100 * ours['of_read']:.0f} %")]


def commit():
    git = ["git", "-C", ROOT]
    return run(*git, "rev-parse", "--short", "HEAD").strip() + (" with changes" if run(*git, "status", "--porcelain", "-uno") else "")


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--foundry", default=ROOT / "build/foundry")
    parser.add_argument("--peer", help="llama-bench, as bench/peer-llama.sh prints it")
    parser.add_argument("--no-peer", action="store_true", help="time foundry alone")
    parser.add_argument("--models", nargs="+", default=MODELS, help="names that scripts/fetch-model.sh knows, files, or synth:ARCH:SIZE:FORMAT")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompt-tokens", type=int, nargs="+", default=[512], help="lengths of prompts; several are compared with the first, and decoding is measured beside that one only")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--depth", type=int, default=0, help="tokens in the context before those of decoding")
    parser.add_argument("--isa", nargs="+", help="levels of foundry's instructions, each a program of its own (default: the best here)")
    parser.add_argument("--kv-type", choices=["f16", "f32", "q8_0"], help="of keys and values, for both programs (default: as each has it, f16)")
    parser.add_argument("--name", default="cpu", help="what the file of results begins with")
    parser.add_argument("--no-generic", action="store_true", help="leave out the rows with --isa generic")
    parser.add_argument("--results", type=pathlib.Path, default=ROOT / "bench/results")
    args = parser.parse_args()
    if not args.peer and not args.no_peer:
        parser.error("--peer names llama-bench (bench/peer-llama.sh prints it); --no-peer does without")
    for what, values in ("--prompt-tokens", args.prompt_tokens), ("--isa", args.isa or []):
        if len(set(values)) < len(values):
            parser.error(f"{what} has a value twice")
    return args


def main():
    args = options()
    load = os.getloadavg()[0]
    machine = Machine()
    programs = {f"foundry {level}".strip(): Ours(args.foundry, args, *(["--isa", level] if level else [])) for level in args.isa or [""]}
    ours_of = dict(programs)
    if not args.no_peer:
        programs["llama.cpp"] = Peer(args.peer, args)
    generic = Ours(args.foundry, args, "--isa", "generic")
    first_prompt, rows, shares = f"prefill {args.prompt_tokens[0]}", [], []
    for name in args.models:
        model = file_of(args.foundry, name)
        for ours in ours_of.values():
            check_answer(ours, name, model)
        print(name, file=sys.stderr)
        for threads in args.threads:
            m, place, count = alternate(machine, programs, model, threads, args.rounds)
            for program in ours_of:
                rows.append(columns(args, name, program.partition(" ")[2], threads, place, count, m[program], m.get("llama.cpp")))
            if threads == min(args.threads) and not args.no_generic:
                g, _, _ = alternate(machine, {"generic": generic}, model, threads, 1)
                g, ours = g["generic"], m[next(iter(ours_of))]
                shares.append([name, threads, f"{g[first_prompt]:.0f}", f"{g['decode_tok_s']:.1f}",
                               f"{100 * g[first_prompt] / ours[first_prompt]:.0f} %",
                               f"{100 * g['decode_tok_s'] / ours['decode_tok_s']:.0f} %"])

    def table(head, body):
        return ["| " + " | ".join(map(str, line)) + " |" for line in [head, ["---"] * len(head), *body]]

    given = " ".join(a for i, a in enumerate(sys.argv[1:], 1) if not {a, sys.argv[i - 1]} & {"--foundry", "--peer"})
    command = [f'BENCH_ARGS="{given}"'] if given else []
    where = f"behind {args.depth} others" if args.depth else "from an empty context"
    caches = f" Keys and values: {args.kv_type}." if args.kv_type else ""
    today = datetime.date.today().isoformat()
    version = re.search(r"llama-cpp-python-([\d.]+)", str(args.peer))
    peer = "no peer" if args.no_peer else f"peer: llama.cpp of llama-cpp-python {version.group(1) if version else '(unknown version)'}"
    prompts = " and ".join(map(str, args.prompt_tokens))
    text = "\n".join([
        f"# {machine.model}, {machine.cpus} CPUs, {machine.best}", "",
        f"{today}, commit {commit()}; {peer}. Load before the start: {load:.1f} (it should be near 0).",
        f"Prompts of {prompts} tokens, then {args.tokens} tokens {where}; tokens per second, medians of",
        f"{args.rounds} or more alternating rounds; 'hand-off': the time a word needs between the two CPUs; 'read GB/s': what this",
        f"machine reads with these threads, measured right before each run; the last column: how much of that decoding reaches.{caches}",
        f"Command: `{' '.join(['make bench-cpu', *command])}`.", "",
        *table([head for head, _ in rows[0]], [[text for _, text in row] for row in rows])])
    if shares:
        text += "\n\nThe portable texts alone (`--isa generic`), and their share of the figures above:\n\n"
        text += "\n".join(table(["model", "threads", first_prompt, "decode", "share of prefill", "share of decode"], shares))
    args.results.mkdir(parents=True, exist_ok=True)
    out = args.results / f"{args.name}-{today}-{machine.kind}.md"
    out.write_text(text + "\n")
    print(text)
    print(f"kept as {out}", file=sys.stderr)


if __name__ == "__main__":
    main()
