#!/usr/bin/env python3
"""Checks the order of the layers and a few limits that keep the source readable.

    base <- tensor <- compose, backend <- run <- lm <- cli        (docs/design.md)

A file may include its own layer and those before it; compose and backend do not see each other.
src/kernels holds device text, which sees only itself, and references and tests beside it. No
backend is named in the composer or in portable device text, no operation in a backend. Files stay
under 800 lines, public headers under 300. What has to be an exception is one line, "path: word",
in scripts/check-layers.allow, with its reason behind a '#'.

    scripts/check-layers.py               checks the tree this script is in; exit code 1 on findings
    scripts/check-layers.py --self-test   plants each kind of violation and checks that it is found
"""
import pathlib
import re
import sys
import tempfile

# Which layers the files of a layer may include. A value "layer/name" is that one file or folder.
MAY_INCLUDE = {
    "base": ["base"],
    "tensor": ["base", "tensor", "kernels/policy"],
    "compose": ["base", "tensor", "compose", "kernels"],
    "backend": ["base", "tensor", "backend", "kernels/fnd_", "kernels/dialect/"],
    "run": ["base", "tensor", "compose", "backend/backend.h", "run", "kernels"],
    "lm": ["base", "tensor", "compose", "run", "lm", "kernels"],
    "cli": ["base", "tensor", "compose", "run", "lm", "cli", "kernels"],
    "kernels": ["kernels"],
    "bake": ["base", "tensor", "compose", "backend/cpu"],  # a program of the build: writes the cpu's tables
}
BACKENDS = {"cpu", "cuda", "metal", "sim"}
OPERATIONS = {"gemv", "gemm", "attention", "rmsnorm", "norm", "rope", "softmax", "swiglu", "silu", "gelu",
              "embedding", "sampling", "qkv"}
SOURCE = {".c", ".h", ".m", ".py", ".sh"}
TOP = ["src", "include", "tests", "examples", "bench", "fuzz", "scripts"]

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.M)
COMMENT = re.compile(r'("(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\')|//[^\n]*|/\*.*?\*/', re.S)


def without_comments(text):
    """Comments become the newlines they hold, so that line numbers stay."""
    return COMMENT.sub(lambda m: m.group(1) or "\n" * m.group(0).count("\n") or " ", text)


def words(line):
    """The words of a line's identifiers and strings: fnd_cudaLaunch -> fnd, cuda, launch."""
    return {w.lower() for w in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", line)}


class Tree:
    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.findings = []
        self.allowed, self.used = set(), set()
        allow = self.root / "scripts/check-layers.allow"
        for line in allow.read_text().splitlines() if allow.exists() else []:
            path, _, word = line.partition("#")[0].partition(":")
            if word:
                self.allowed.add((path.strip(), word.strip()))

    def finding(self, path, line, text, word=None):
        if (path, word) in self.allowed:
            self.used.add((path, word))
        else:
            self.findings.append(f"{path}:{line}: {text}")

    def resolve(self, path, name):
        """The path, from the root, of the file that an #include in `path` names."""
        for base in (self.root / path).parent, self.root / "src", self.root / "include", self.root / "tests":
            if (base / name).is_file():
                try:
                    return (base / name).resolve().relative_to(self.root.resolve()).as_posix()
                except ValueError:
                    return name
        return "src/" + name if name.split("/")[0] in MAY_INCLUDE else name

    def may_include(self, path, target):
        top = path.split("/")[0]
        if target.startswith("include/"):
            return True
        if top in ("include", "examples"):  # what a user of the library sees
            return not target.startswith(("src/", "tests/"))
        if top != "src" or path.endswith("_test.c"):
            return True
        parts = path.split("/")
        if len(parts) < 3:
            return False
        layer = "kernels" if parts[1] == "kernels" else parts[1]
        if layer == "kernels" and path.endswith("_ref.c"):
            return not target.startswith(("src/lm/", "src/cli/", "src/backend/"))
        if not target.startswith("src/"):
            return not target.startswith("tests/")
        if layer == "backend" and target.startswith("src/backend/") and len(target.split("/")) > 3:
            return parts[2] == target.split("/")[2]  # one backend does not see another
        return any(target.startswith(f"src/{m}/" if "/" not in m else f"src/{m}") for m in MAY_INCLUDE.get(layer, []))

    def check_words(self, path, code, forbidden, message):
        for number, line in enumerate(code.splitlines(), 1):
            for word in sorted(words(line) & forbidden):
                self.finding(path, number, message.format(word), word)

    def check_file(self, path):
        text = (self.root / path).read_text(errors="replace")
        lines = text.count("\n")
        limit = 300 if path.startswith("include/") else 800
        if lines > limit:
            self.finding(path, lines, f"{lines} lines, more than {limit}; split it by subject", "lines")
        if not path.endswith((".c", ".h")):
            return
        code = without_comments(text)
        for m in INCLUDE.finditer(code):
            target = self.resolve(path, m.group(1))
            if not self.may_include(path, target):
                line = code.count("\n", 0, m.start(1)) + 1
                self.finding(path, line, f"must not include {target}: it belongs to a layer this one may not see", target)
        if path.startswith("src/compose/"):
            self.check_words(path, code, BACKENDS, "the composer names the backend '{}'")
        elif path.startswith("src/backend/"):
            self.check_words(path, code, OPERATIONS, "a backend names the operation '{}'")
        elif path.startswith("src/kernels/"):
            name = path.rsplit("/", 1)[1]
            if name.endswith(".c") and not name.endswith(("_ref.c", "_test.c", "_codec.c")):
                self.finding(path, 1, "a .c file here is a reference (_ref.c), a codec (_codec.c) or a test (_test.c)", "file")
            special = BACKENDS & set(name.split(".")[1:-1])
            dialect = name.startswith("fnd_") or path.startswith("src/kernels/dialect/")
            if name.endswith(".h") and not special and not dialect:
                self.check_words(path, code, BACKENDS, "portable device text names the backend '{}'")

    def check(self):
        layers = self.root / "src"
        for entry in sorted(layers.iterdir()) if layers.is_dir() else []:
            if entry.name not in MAY_INCLUDE:
                self.finding(f"src/{entry.name}", 1, "is in no layer", "layer")
        for top in TOP:
            for file in sorted((self.root / top).rglob("*")):
                if file.suffix in SOURCE and file.is_file():
                    self.check_file(file.relative_to(self.root).as_posix())
        for path, word in sorted(self.allowed - self.used):
            self.findings.append(f"scripts/check-layers.allow: '{path}: {word}' excuses nothing any more")
        return self.findings


# path, content, and a part of the finding (None: no finding)
PLANTED = [
    ("src/base/a.c", '#include "tensor/b.h"\n', "src/base/a.c:1: must not include src/tensor/b.h"),
    ("src/base/ok.c", '#include "base/base.h"\n#include "foundry/status.h"\n', None),
    ("src/base/comment.c", '/* #include\n "lm/model.h" */\n// #include "lm/model.h"\nconst char *s = "/*";\n', None),
    ("src/tensor/b.h", '#include "base/base.h"\n', None),
    ("src/compose/c.c", '\n  #  include "backend/backend.h"\n', "src/compose/c.c:2: must not include src/backend/backend.h"),
    ("src/compose/d.c", "int fnd_cuda_launch;\n", "names the backend 'cuda'"),
    ("src/compose/e.c", '/* as on cuda */ int simd; const char *s = ".cpu";\n', "names the backend 'cpu'"),
    ("src/backend/backend.h", '#include "tensor/b.h"\n', None),
    ("src/backend/f.c", '#include "compose/text.h"\n', "must not include src/compose/text.h"),
    ("src/backend/sim/g.c", '#include "../cpu/team.h"\n', "must not include src/backend/cpu/team.h"),
    ("src/backend/sim/gg.c", '#include "backend/backend.h"\n#include "own.h"\n', None),
    ("src/backend/sim/own.h", "\n", None),
    ("src/backend/cpu/team.h", "\n", None),
    ("src/backend/cpu/h.c", "void launch_rmsnorm(void);\n", "names the operation 'rmsnorm'"),
    ("src/run/i.c", '#include "backend/cpu/team.h"\n', "must not include src/backend/cpu/team.h"),
    ("src/run/j.c", '#include "backend/backend.h"\n#include "kernels/gemv/gemv.h"\n', None),
    ("src/run/k.c", '#include "lm/model.h"\n', "must not include src/lm/model.h"),
    ("src/lm/l.c", '#include "run/queue.h"\n', None),
    ("src/cli/m.c", '#include "lm/model.h"\n', None),
    ("src/misc/n.c", "\n", "src/misc:1: is in no layer"),
    ("src/kernels/gemv/gemv.h", '#include "run/queue.h"\n', "must not include src/run/queue.h"),
    ("src/kernels/gemv/dot.h", "#ifdef FND_METAL\n#endif\n", "names the backend 'metal'"),
    ("src/kernels/dialect/c.h", "#ifdef FND_SIM\n#endif\n", None),
    ("src/kernels/gemv/dot.cuda.h", "int cuda;\n", None),
    ("src/kernels/gemv/host.c", "\n", "is a reference (_ref.c), a codec (_codec.c) or a test"),
    ("src/kernels/policy/q/q_codec.c", '#include "policy/policy_codec.h"\n', None),
    ("src/kernels/gemv/gemv_ref.c", '#include "tensor/b.h"\n', None),
    ("src/kernels/gemv/gemv_test.c", '#include "backend/backend.h"\n#include "test.h"\n', None),
    ("include/foundry/big.h", "\n" * 301, "301 lines, more than 300"),
    ("include/foundry/o.h", '#include "base/base.h"\n', "must not include src/base/base.h"),
    ("examples/p.c", '#include "../src/base/base.h"\n', "must not include src/base/base.h"),
    ("tests/long.c", "\n" * 801, "801 lines, more than 800"),
    ("src/base/base.h", "\n", None),
    ("src/compose/excused.c", "int metal;\n", None),
    ("scripts/check-layers.allow", "src/compose/excused.c: metal  # planted\nsrc/x.c: sim # stale\n",
     "'src/x.c: sim' excuses nothing"),
]


def self_test():
    with tempfile.TemporaryDirectory() as root:
        for path, content, _ in PLANTED:
            file = pathlib.Path(root) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        findings = Tree(root).check()
    expected = [part for _, _, part in PLANTED if part]
    wrong = [f"not found: {part}" for part in expected if not any(part in f for f in findings)]
    wrong += [f"found for nothing: {f}" for f in findings if not any(part in f for part in expected)]
    if len(findings) != len(expected) and not wrong:
        wrong = findings
    print("\n".join(wrong + [f"{len(expected) - len(wrong)} of {len(expected)} planted violations found"]))
    return 1 if wrong else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    if sys.argv[1:]:
        print(__doc__, file=sys.stderr)
        return 2
    findings = Tree(pathlib.Path(__file__).resolve().parent.parent).check()
    print("\n".join(findings + [f"layers: {len(findings)} findings"]))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
