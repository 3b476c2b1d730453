#!/usr/bin/env python3
"""Measures foundry beside llama.cpp on this CPU and writes a table to bench/results/.

Both programs run the same file with the same number of threads, in turns (the order changes every
round): a prompt of 512 tokens from nothing (prefill), and 64 tokens one by one from an empty
context or behind --depth others (decode), as llama-bench does. The figures are medians over the
rounds, in tokens per second. The answer to a question is checked before anything is timed.

A model is a name that scripts/fetch-model.sh knows, a file, or synth:ARCH:SIZE:FORMAT, which
foundry synth writes (random weights: their portable and their fast logits are compared instead).

On some small virtual machines the host moves the two CPUs between a near and a far place. The
hand-off between them is measured around every run of two threads. Where it shows two places, only
the one seen most often enters the table, for both programs, and rounds are added until it has 3.

    bench/bench-cpu.py --foundry build/foundry --peer "$(bench/peer-llama.sh)"
"""
import argparse
import collections
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


class Ours:
    def __init__(self, program, args, *options):
        self.program, self.args, self.options = program, args, options

    def measure(self, model, threads):
        a = self.args
        out = json.loads(run(self.program, "bench", "--model", model, "--prompt-tokens", a.prompt_tokens, "--tokens",
                             a.tokens, "--depth", a.depth, "--repeat", 1, "--json", "--threads", threads, *self.options))
        return {key: out[key] for key in ("prefill_tok_s", "decode_tok_s", "decode_gb_s", "read_gb_s")}


class Peer:
    def __init__(self, program, args):
        self.program, self.args = program, args

    def measure(self, model, threads):
        a = self.args
        def bench(*tests):
            return json.loads(run(self.program, "-m", model, "-t", threads, "-r", 1, "-o", "json", *tests))

        if a.depth:
            out = bench("-p", a.prompt_tokens, "-n", 0) + bench("-p", 0, "-n", a.tokens, "-d", a.depth)
        else:
            out = bench("-p", a.prompt_tokens, "-n", a.tokens)
        return {"prefill_tok_s": next(r["avg_ts"] for r in out if r["n_prompt"]),
                "decode_tok_s": next(r["avg_ts"] for r in out if r["n_gen"])}


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
        for name in list(programs) if turn % 2 == 0 else reversed(list(programs)):
            before = machine.handoff(threads)
            figures = programs[name].measure(model, threads)
            runs.append((name, before, machine.handoff(threads), figures))
            where = f", hand-off {before:.0f} to {runs[-1][2]:.0f} ns" if threads > 1 else ""
            print(f"  {threads} threads, round {turn + 1}, {name}: prefill {figures['prefill_tok_s']:.0f}, "
                  f"decode {figures['decode_tok_s']:.1f} tok/s{where}", file=sys.stderr)
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


def check_answer(foundry, name, model):
    if not name.startswith("synth:"):
        answer = run(foundry, "run", "--model", model, "--temperature", 0, "--max-tokens", 24,
                     "--prompt", "Name the capital of France.")
        if "Paris" not in answer:
            sys.exit(f"{name} answers wrongly, so its speed means nothing: {answer!r}")
        return
    exact, fast = logits(foundry, model, "--isa", "generic"), logits(foundry, model)
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
    file = cache / f"{arch}-{size}-{fmt}.gguf"
    if not file.is_file():
        run(foundry, "synth", "--arch", arch, "--size", size, "--format", fmt, "-o", file)
    return file


def ratio(a, b):
    return f"{a / b:.2f} x"


def commit():
    git = ["git", "-C", ROOT]
    return run(*git, "rev-parse", "--short", "HEAD").strip() + (" with changes" if run(*git, "status", "--porcelain", "-uno") else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--foundry", default=ROOT / "build/foundry")
    parser.add_argument("--peer", required=True, help="llama-bench, as bench/peer-llama.sh prints it")
    parser.add_argument("--models", nargs="+", default=MODELS, help="names that scripts/fetch-model.sh knows, or files")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompt-tokens", type=int, default=512)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--depth", type=int, default=0, help="tokens in the context before those of decoding")
    parser.add_argument("--name", default="cpu", help="what the file of results begins with")
    parser.add_argument("--no-generic", action="store_true", help="leave out the rows with --isa generic")
    parser.add_argument("--results", type=pathlib.Path, default=ROOT / "bench/results")
    args = parser.parse_args()

    load = os.getloadavg()[0]
    machine = Machine()
    programs = {"foundry": Ours(args.foundry, args), "llama.cpp": Peer(args.peer, args)}
    generic = Ours(args.foundry, args, "--isa", "generic")
    rows, shares, bandwidth = [], [], collections.defaultdict(list)
    for name in args.models:
        model = file_of(args.foundry, name)
        check_answer(args.foundry, name, model)
        print(name, file=sys.stderr)
        for threads in args.threads:
            m, place, count = alternate(machine, programs, model, threads, args.rounds)
            ours, peer = m["foundry"], m["llama.cpp"]
            bandwidth[threads].append(ours["read_gb_s"])
            rows.append([name, threads, place, count, f"{ours['prefill_tok_s']:.0f}", f"{peer['prefill_tok_s']:.0f}",
                         ratio(ours["prefill_tok_s"], peer["prefill_tok_s"]), f"{ours['decode_tok_s']:.1f}",
                         f"{peer['decode_tok_s']:.1f}", ratio(ours["decode_tok_s"], peer["decode_tok_s"]),
                         f"{ours['decode_gb_s']:.1f}", f"{100 * ours['decode_gb_s'] / ours['read_gb_s']:.0f} %"])
            if threads == min(args.threads) and not args.no_generic:
                g, _, _ = alternate(machine, {"generic": generic}, model, threads, 1)
                g = g["generic"]
                shares.append([name, threads, f"{g['prefill_tok_s']:.0f}", f"{g['decode_tok_s']:.1f}",
                               f"{100 * g['prefill_tok_s'] / ours['prefill_tok_s']:.0f} %",
                               f"{100 * g['decode_tok_s'] / ours['decode_tok_s']:.0f} %"])

    def table(head, body):
        return ["| " + " | ".join(map(str, line)) + " |" for line in [head, ["---"] * len(head), *body]]

    given = " ".join(a for i, a in enumerate(sys.argv[1:], 1) if not {a, sys.argv[i - 1]} & {"--foundry", "--peer"})
    command = [f'BENCH_ARGS="{given}"'] if given else []
    where = f"behind {args.depth} others" if args.depth else "from an empty context"
    today = datetime.date.today().isoformat()
    version = re.search(r"llama-cpp-python-([\d.]+)", str(args.peer))
    reads = "; ".join(f"{median(v):.1f} GB/s with {t} thread{'s' * (t > 1)}" for t, v in bandwidth.items())
    text = "\n".join([
        f"# {machine.model}, {machine.cpus} CPUs, {machine.best}", "",
        f"{today}, commit {commit()}; peer: llama.cpp of llama-cpp-python {version.group(1) if version else '(unknown version)'}.",
        f"Measured read bandwidth: {reads}. Load before the start: {load:.1f} (it should be near 0).",
        f"Prompt {args.prompt_tokens} tokens, then {args.tokens} tokens {where}; tokens per second, medians of",
        f"{args.rounds} or more alternating rounds; 'hand-off': the time a word needs between the two CPUs.",
        f"Command: `{' '.join(['make bench-cpu', *command])}`.", "",
        *table(["model", "threads", "hand-off", "rounds", "prefill", "llama.cpp", "ratio", "decode", "llama.cpp", "ratio",
                "decode GB/s", "of read bandwidth"], rows)])
    if shares:
        text += "\n\nThe portable texts alone (`--isa generic`), and their share of the figures above:\n\n"
        text += "\n".join(table(["model", "threads", "prefill", "decode", "share of prefill", "share of decode"], shares))
    args.results.mkdir(parents=True, exist_ok=True)
    out = args.results / f"{args.name}-{today}-{machine.kind}.md"
    out.write_text(text + "\n")
    print(text)
    print(f"kept as {out}", file=sys.stderr)


if __name__ == "__main__":
    main()
