#!/usr/bin/env python3
"""Checks the rules of the kernel dialect (docs/kernels.md) that no compiler at hand enforces.

    scripts/check-kernels.py TEXT...             flattened kernel texts; exit code 1 on findings
    scripts/check-kernels.py --expanded TEXT...  the same behind the preprocessor, as Metal sees them: entry
                                                 points and attributes

Metal wants an address space on every pointer and refuses recursion; clang's OpenCL mode gives a
pointer without one the generic space and compiles recursion. The dialect's own headers are left out.
Findings are lines "file:line: error: ...", the file being the one that #line names.
"""
import re
import sys

SPACES = {"FND_GPU", "FND_GROUP", "FND_OWN", "FND_CONSTANT", "device", "threadgroup", "thread", "constant"}
BASE_TYPES = {"void", "char", "short", "int", "unsigned", "signed", "float", "bool", "u8", "i8", "u16", "i16", "u32", "i32",
              "u64", "i64", "f32", "vec", "f16", "bf16"}
WORDS = {
    "double": "double: Metal has none",
    "long": "long: its size differs between machines; u64 or i64",
    "goto": "goto: Metal has none",
    "static": "static: a function is FND_INLINE, a table FND_CONSTANT, and variables do not outlive a launch",
    "extern": "extern: a text calls nothing outside itself",
    "asm": "asm: belongs into a machine's own file",
    "__asm__": "asm: belongs into a machine's own file",
    "half": "half: a type in Metal, and no name",
    "volatile": "volatile: orders nothing between threads; use a barrier",
    "kernel": "kernel: an entry point is printed by the composer (FND_KERNEL)",
    "throw": "throw: Metal has no exceptions",
    "try": "try: Metal has no exceptions",
    "catch": "catch: Metal has no exceptions",
    "virtual": "virtual: Metal has no virtual functions",
    "new": "new: Metal has no heap",
    "delete": "delete: Metal has no heap",
    "typeid": "typeid: Metal has no types at run time",
    "dynamic_cast": "dynamic_cast: Metal has no types at run time",
    "thread_local": "thread_local: variables do not outlive a launch",
    "va_list": "va_list: Metal has no functions with any number of arguments",
}
# What a parameter or a member may say of itself: the specification's chapter 5.2.3, and 5.2.1, 4.5, 5.8 and 5.1.
ATTRIBUTES = {
    "thread_position_in_grid", "threads_per_grid", "thread_position_in_threadgroup", "threads_per_threadgroup",
    "thread_index_in_threadgroup", "threadgroup_position_in_grid", "threadgroups_per_grid",
    "simdgroup_index_in_threadgroup", "simdgroups_per_threadgroup", "thread_index_in_simdgroup", "threads_per_simdgroup",
    "quadgroup_index_in_threadgroup", "quadgroups_per_threadgroup", "thread_index_in_quadgroup", "threads_per_quadgroup",
    "dispatch_threads_per_threadgroup", "dispatch_simdgroups_per_threadgroup", "dispatch_quadgroups_per_threadgroup",
    "grid_origin", "grid_size", "thread_execution_width",
    "buffer", "threadgroup", "function_constant", "id", "max_total_threads_per_threadgroup", "host_name", "visible",
}
OF_NO_PLACE = {"buffer", "threadgroup", "function_constant", "id", "max_total_threads_per_threadgroup", "host_name", "visible"}
DIALECT = re.compile(r"(^|/)(dialect/|metal_stdlib)")
TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|[A-Za-z_]\w*|\.?\d[\w.]*|##|[-+*/%&|^=<>!]=|[&|]{2}|->|.')
LINE = re.compile(r'\s*#\s*line\s+(\d+)\s+"([^"]*)"')
DEFINE = re.compile(r"\s*#\s*define\s+(\w+)(\(([^)]*)\))?(.*)", re.S)


class Token:
    def __init__(self, text, file, line):
        self.text, self.file, self.line = text, file, line
        self.is_name = text[0].isalpha() or text[0] == "_"


def without_comments(text):
    """Comments become spaces, so that lines keep their numbers."""
    pattern = re.compile(r'"(?:\\.|[^"\\\n])*"|/\*.*?\*/|//[^\n]*', re.S)
    return pattern.sub(lambda m: m[0] if m[0][0] == '"' else re.sub(r"[^\n]", " ", m[0]), text)


def logical_lines(text):
    """(line, file, number) with continued lines joined by newlines; #line is obeyed."""
    file, number, lines = "?", 1, without_comments(text).split("\n")
    at = 0
    while at < len(lines):
        marker = LINE.match(lines[at])
        if marker:
            number, file = int(marker[1]), marker[2]
            at += 1
            continue
        first, whole = number, lines[at]
        while whole.endswith("\\") and at + 1 < len(lines):
            at, number = at + 1, number + 1
            whole = whole[:-1] + "\n" + lines[at]
        yield whole, file, first
        at, number = at + 1, number + 1


def tokens_of(text, file, line):
    found = []
    for m in TOKEN.finditer(text):
        if not m[0].isspace():
            found.append(Token(m[0], file, line + text.count("\n", 0, m.start())))
    return found


class Text:
    """A flattened text: its code, the bodies of its macros, and what they call."""

    def __init__(self, text):
        self.code, self.macros, self.findings = [], [], set()
        self.calls, self.places, self.policy, self.by_policy = {}, {}, "", set()
        for line, file, number in logical_lines(text):
            if DIALECT.search(file):
                continue
            define = DEFINE.match(line)
            if define:
                self.add_macro(define, file, number)
            elif line.lstrip().startswith("#"):
                if re.match(r"\s*#\s*include\s*<", line):
                    self.report(file, number, "#include <...>: NVRTC and Metal have no system headers")
            else:
                self.code += self.resolve(tokens_of(line, file, number))
        tokens = self.code + [t for body in self.macros for t in body]
        self.types = BASE_TYPES | set(re.findall(r"\btypedef\s+[^;{]*?(\w+)\s*;", " ".join(t.text for t in self.code)))
        self.types |= {b.text for a, b in zip(tokens, tokens[1:]) if a.text == "struct" and b.is_name}

    def report(self, file, line, what):
        self.findings.add((file, line, what))

    def add_macro(self, define, file, number):
        name, body = define[1], define[4]
        if name == "POLICY":
            self.policy = body.strip()
        if re.fullmatch(r"\s*FND_CAT\(POLICY,\s*(\w+)\)\s*", body) and define[3]:
            self.by_policy.add(name)
            return
        before = define[0][: len(define[0]) - len(body)]
        tokens = tokens_of(body, file, number + before.count("\n"))
        self.macros.append(tokens)
        own = {p.strip() for p in (define[3] or "").split(",")}
        self.add_calls(name, [t for t in tokens if t.text not in own], file, number)

    def resolve(self, tokens):
        """FND_CAT(POLICY, _dot), and P_(_dot) where a macro says the same, is one name; its policy is that of the moment."""
        out, i = [], 0
        while i < len(tokens):
            words = [t.text for t in tokens[i : i + 6]]
            if words[:4] == ["FND_CAT", "(", "POLICY", ","] and words[5:] == [")"]:
                out.append(Token(self.policy + words[4], tokens[i].file, tokens[i].line))
                i += 6
            elif words[0] in self.by_policy and words[1:4:2] == ["(", ")"]:
                out.append(Token(self.policy + words[2], tokens[i].file, tokens[i].line))
                i += 4
            else:
                out.append(tokens[i])
                i += 1
        return out

    def add_calls(self, name, body, file, line):
        called = {a.text for a, b in zip(body, body[1:]) if a.is_name and b.text == "("}
        self.calls.setdefault(name, set()).update(called)
        self.places.setdefault(name, (file, line))

    # ---- words, pointers -------------------------------------------------------------------------

    def check_words(self, tokens):
        for t in tokens:
            if t.text in WORDS:
                self.report(t.file, t.line, WORDS[t.text])

    def specifiers(self, tokens, end):
        """The declaration specifiers that end before tokens[end]."""
        at = end
        while at > 0 and (tokens[at - 1].text in SPACES | self.types | {"const", "restrict", "struct"}):
            at -= 1
        return {t.text for t in tokens[at:end]}

    def check_cpp(self, tokens):
        """What C++ has and Metal has not, and no single word names."""
        for i, t in enumerate(tokens):
            before, after = (tokens[i - 1].text if i else ""), [x.text for x in tokens[i + 1 : i + 3]]
            if t.text == "[" and not (i and (tokens[i - 1].is_name or before in ("]", ")", "["))) and (after[:1] == ["]"] or after[1:2] == ["]"]) and after[:1] != ["["]:
                self.report(t.file, t.line, "a function without a name: Metal has none")
            if t.text == "&" and self.specifiers(tokens, i) & self.types and not self.specifiers(tokens, i) & SPACES and tokens[i - 1].text != ")":
                self.report(t.file, t.line, "reference without an address space (FND_GPU, FND_GROUP or FND_OWN)")
            if t.text == "." and after == [".", "."]:
                self.report(t.file, t.line, "...: Metal has no functions with any number of arguments")
            if t.text.startswith("__builtin_"):
                self.report(t.file, t.line, f"{t.text}: a function of one compiler")

    def check_pointers(self, tokens):
        for i, t in enumerate(tokens):
            before = tokens[i - 1].text if i else ""
            if t.text == "(" and i + 3 < len(tokens) and tokens[i + 1].text == "*" and tokens[i + 2].is_name and tokens[i + 3].text == ")" \
                    and i + 4 < len(tokens) and tokens[i + 4].text == "(" and (before in self.types or before == "typedef"):
                self.report(t.file, t.line, f"function pointer {tokens[i + 2].text}: Metal has none")
            if t.text != "*":
                continue
            words = self.specifiers(tokens, i)
            if words & self.types and not words & SPACES:
                self.report(t.file, t.line, "pointer without an address space (FND_GPU, FND_GROUP or FND_OWN)")
            if before == "*" and self.specifiers(tokens, i - 1) & self.types:
                self.report(t.file, t.line, "pointer to a pointer without an address space (FND_GPU, FND_GROUP or FND_OWN)")

    def check_declarators(self, tokens):
        """f32 a, *p; - the second declarator is a pointer too."""
        for i, t in enumerate(tokens):
            starts = i == 0 or tokens[i - 1].text in ";{}("
            if not starts or not t.is_name:
                continue
            end = i
            while end < len(tokens) and (tokens[end].text in SPACES | self.types | {"const", "struct"}):
                end += 1
            words = {x.text for x in tokens[i:end]}
            if not words & self.types or words & SPACES or end >= len(tokens) or not tokens[end].is_name:
                continue
            depth, is_list = 0, tokens[i - 1].text != "(" or (i > 1 and tokens[i - 2].text == "for")
            for k in range(end, len(tokens)):
                depth += (tokens[k].text in "([{") - (tokens[k].text in ")]}")
                if depth < 0 or (depth == 0 and tokens[k].text == ";") or not is_list:
                    break
                if depth == 0 and tokens[k].text == "," and tokens[k + 1].text == "*":
                    self.report(tokens[k + 1].file, tokens[k + 1].line, "pointer without an address space (FND_GPU, FND_GROUP or FND_OWN)")

    # ---- functions -------------------------------------------------------------------------------

    def check_functions(self):
        depth, start = 0, 0
        code, i = self.code, 0
        while i < len(code):
            text = code[i].text
            if depth == 0 and text in ("FND_STAGE", "FND_POLICY", "FND_COMPOUND"):  # declarations for the composer, with no ; behind
                while i + 1 < len(code) and code[i].text != ")":
                    i += 1
                start = i + 1
            if depth == 0 and text == ";":
                start = i + 1
            if depth == 0 and text == "{":
                self.check_definition(start, i)
            depth += (text == "{") - (text == "}")
            if depth == 0 and text == "}":
                start = i + 1
            i += 1

    def check_definition(self, start, brace):
        """code[start:brace] is what stands before a body at file scope."""
        code = self.code
        opening = next((k for k in range(start, brace) if code[k].text == "("), None)
        if opening is None or not code[opening - 1].is_name or code[start].text in ("typedef", "struct"):
            return
        name = code[opening - 1]
        depth, end = 1, brace + 1
        while end < len(code) and depth:
            depth += (code[end].text == "{") - (code[end].text == "}")
            end += 1
        if name.text == "FND_KERNEL" or name.text.startswith("FND_PROGRAM"):
            return
        if code[start].text != "FND_INLINE":
            self.report(name.file, name.line, f"function {name.text} is not FND_INLINE")
        for k in range(opening, brace - 1):
            if code[k].is_name and code[k + 1].text == "[":
                self.report(code[k].file, code[k].line, f"array parameter {code[k].text} is a pointer without an address space (FND_GPU, FND_GROUP or FND_OWN)")
        self.add_calls(name.text, code[brace:end], name.file, name.line)

    def check_recursion(self):
        state = {}

        def visit(name, path):
            state[name] = "open"
            for callee in sorted(self.calls[name]):
                if state.get(callee) == "open":
                    cycle = path[path.index(callee):] if callee in path else [callee]
                    for member in cycle:
                        self.report(*self.places[member], "recursion: " + " calls ".join(cycle + [callee]))
                elif callee in self.calls and callee not in state:
                    visit(callee, path + [callee])
            state[name] = "done"

        for name in sorted(self.calls):
            if name not in state:
                visit(name, [name])

    def check(self):
        for tokens in [self.code] + self.macros:
            self.check_words(tokens)
            self.check_cpp(tokens)
            self.check_pointers(tokens)
            self.check_declarators(tokens)
        self.check_functions()
        self.check_recursion()
        return self.findings


class Expanded:
    """A text behind the preprocessor: what the macros of the dialect made of it."""

    ENTRY = re.compile(r"\b__kernel\s+(\w+)\s+(\w+)\s*\(")
    MARKER = re.compile(r'^# (\d+) "([^"]*)"', re.M)
    ATTRIBUTE = re.compile(r"\[\[\s*(\w+)")

    def __init__(self, text):
        self.text, self.findings = text, set()
        self.markers = [(m.start(), int(m[1]), m[2]) for m in self.MARKER.finditer(text)]

    def report(self, at, what):
        start, line, file = max((m for m in self.markers if m[0] <= at), default=(0, 0, "?"))
        self.findings.add((file, line + self.text.count("\n", start, at) - 1, what))

    def parameters(self, at):
        """[(where, text)] of the list that begins at `at`."""
        depth, first, found = 0, at, []
        for i in range(at, len(self.text)):
            c = self.text[i]
            if c == "," and depth == 0 or c == ")" and depth == 0:
                found.append((first, self.text[first:i]))
                first = i + 1
                if c == ")":
                    return found
            depth += (c in "([{") - (c in ")]}")
        return found

    def check_parameter(self, entry, at, text):
        attributes = set(self.ATTRIBUTE.findall(text))
        words = set(re.findall(r"\w+", text))
        name = " ".join(re.sub(r"^# .*$", "", text, flags=re.M).split())
        if "*" in text or "&" in text:
            if not words & {"__global", "__constant", "__local"}:
                self.report(at, f"entry point {entry}: \"{name}\" names no memory of the device, of constants or of the group")
        elif not attributes & (ATTRIBUTES - OF_NO_PLACE):
            self.report(at, f"entry point {entry}: \"{name}\" is no buffer, and no [[attribute]] says what it is")

    def check(self):
        for m in self.ENTRY.finditer(self.text):
            if m[1] != "void":
                self.report(m.start(), f"entry point {m[2]} returns {m[1]}: Metal's return nothing")
            for at, text in self.parameters(m.end()):
                self.check_parameter(m[2], at, text)
        for m in self.ATTRIBUTE.finditer(self.text):
            if m[1] not in ATTRIBUTES:
                self.report(m.start(), f"[[{m[1]}]]: Metal has no such attribute")
        return self.findings


def main():
    findings, kind = set(), Text
    for path in sys.argv[1:]:
        if path == "--expanded":
            kind = Expanded
            continue
        with open(path, encoding="utf-8") as file:
            findings |= kind(file.read()).check()
    for file, line, what in sorted(findings):
        print(f"{file}:{line}: error: {what}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
