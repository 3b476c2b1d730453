#!/usr/bin/env python3
"""Many prompts answered together beside one by one: `foundry run --batch` with --parallel N and with --parallel 1, in
turns (the order changes every round), same lines, same answers (checked). Prints a table of medians over the rounds.

Wall time is what the program says from the first prompt to the last answer. Processor time is that of the whole
process less that of the same command for one line and one token, which is what starting costs; with one thread it is
the work itself, with more it has waiting in it. Where others load the machine, compare ratios only.

    bench/batch.py build/foundry MODEL.gguf... [--parallel 8] [--lines 16] [--tokens 64] [--rounds 5] [--threads 2]
"""
import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

THINGS = ["the sea", "a lighthouse", "bread", "the moon", "an old clock", "a river in spring", "mountains", "paper", "a cat and a dog", "glass",
          "the wind", "a train at night", "salt", "the colour blue", "gardens", "stars", "honey", "a bridge", "maps", "winter", "a violin", "rain"]


def run(o, model, lines, parallel, tokens):
    """Wall seconds and tokens from the first prompt on, processor seconds in all, what it says, the answers."""
    command = [o.foundry, "run", "--model", model, "--batch", lines, "--parallel", str(parallel), "--max-tokens", str(tokens), "--threads", str(o.threads), "--compile"]
    before = os.times()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    after = os.times()
    said = re.search(r"prompts? answered, .*: (\d+) tokens? in ([\d.]+) s, .*; prompts: (\d+) tokens?, (\d+) of them reused", done.stderr)
    if done.returncode or not said:
        sys.exit(f"{' '.join(map(str, command))}: {done.stderr[-2000:]}")
    busy = after.children_user + after.children_system - before.children_user - before.children_system
    answers = [json.loads(line)["text"] for line in done.stdout.splitlines()]
    return float(said[2]), int(said[1]), busy, (int(said[3]), int(said[4])), answers


def measure(o, model, folder):
    lines, single = pathlib.Path(folder) / "lines.jsonl", pathlib.Path(folder) / "line.jsonl"
    texts = [json.dumps({"prompt": f"Write a few sentences about {THINGS[i % len(THINGS)]}, with {i + 2} details."}) + "\n" for i in range(o.lines)]
    lines.write_text("".join(texts))
    single.write_text(texts[0])
    sizes, wall, busy, prompts, same = [1, o.parallel], {}, {}, {}, 0
    run(o, model, lines, o.parallel, 2)  # kernels are compiled, the file is in memory
    for n in range(o.rounds):
        answers = {}
        for size in sizes if n % 2 == 0 else sizes[::-1]:
            _, _, start, _, _ = run(o, model, single, size, 1)
            seconds, tokens, cpu, prompts[size], answers[size] = run(o, model, lines, size, o.tokens)
            wall.setdefault(size, []).append(tokens / seconds)
            busy.setdefault(size, []).append(tokens / max(cpu - start, 1e-9))
        same += sum(a == b for a, b in zip(answers[1], answers[o.parallel]))
    row = [statistics.median(values[size]) for values in (wall, busy) for size in sizes]
    name = pathlib.Path(model).name
    print(f"| {name} | {o.threads} | {row[0]:.1f} | {row[1]:.1f} | **{row[1] / row[0]:.2f}** | {row[2]:.1f} | {row[3]:.1f} | {row[3] / row[2]:.2f} "
          f"| {prompts[o.parallel][0]}, {prompts[o.parallel][1]} | {same} of {o.rounds * o.lines} |")
    print(f"  {name}, tok/s by round, one by one: {' '.join(f'{x:.1f}' for x in wall[1])}; together: {' '.join(f'{x:.1f}' for x in wall[o.parallel])}", file=sys.stderr, flush=True)
    sys.stdout.flush()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("foundry")
    p.add_argument("models", nargs="+")
    for name, default in ("parallel", 8), ("lines", 16), ("tokens", 64), ("rounds", 5), ("threads", os.cpu_count()):
        p.add_argument(f"--{name}", type=int, default=default)
    o = p.parse_args()
    print(f"| model | threads | one by one, tok/s | {o.parallel} together | ratio | by processor time: one by one | {o.parallel} together | ratio | tokens of prompts, reused | same text |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for model in o.models:
            measure(o, model, folder)


if __name__ == "__main__":
    main()
