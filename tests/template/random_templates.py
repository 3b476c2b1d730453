#!/usr/bin/env python3
"""Compares the program with Jinja2 on random templates: expressions of all operators, filters, tests and
methods, and statements with white space control.

    python3 tests/template/random_templates.py build/foundry --count 5000 --seed 1
    python3 tests/template/random_templates.py build/foundry --count 500 --seed 7 --record

Every difference is printed; the exit code is 1 when there was one. With --record, the templates that both
render are written to random.json, which the tests read. Results that no two processes share (the address
of a generator), integers beyond 64 bits and what Foundry refuses by name are left out of the comparison."""
import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import warnings

import jinja

warnings.filterwarnings("ignore")

VARIABLES = {
    "n": 5, "neg": -7, "zero": 0, "big": 1234567, "f": 2.5, "g": -0.75, "h": 1e20, "t": True, "no": False, "nil": None,
    "s": "Hello, World", "e": "", "sp": "  a b\tc \n", "u": "Grüße, ΟΔΟΣ! ﬁn ß ǆ 😀", "q": "it's \"q\" <b>&amp;</b>\\", "num": " 42 ", "fl": "3.75e1",
    "lines": "one\ntwo  words\r\nthree-part-word\n\nend", "tags": "<p>x <!-- c --> y</p>",
    "l": [3, 1, 2], "ls": ["b", "A", "c", "B", "a"], "le": [], "lm": [1, "a", None, 2.5, True], "ll": [[1, 2], [3], []],
    "d": {"b": 1, "a": [1, 2], "C": "x"}, "de": {}, "dn": {"k": {"x": {"y": 7}}, "items": "own"},
    "ld": [{"n": "x", "v": 2, "g": "B"}, {"n": "Y", "v": 1, "g": "a"}, {"n": "z", "v": 3, "g": "b"}, {"n": "w", "g": "A"}],
}
NAMES = {
    "int": ["n", "neg", "zero", "big"], "float": ["f", "g", "h"], "bool": ["t", "no"],
    "str": ["s", "e", "sp", "u", "q", "num", "fl", "lines", "tags"],
    "list": ["l", "ls", "le", "lm", "ll", "ld"], "dict": ["d", "de", "dn"], "any": ["nil", "missing"],
}
STRINGS = ["''", "'a'", "'b'", "'n'", "'Hello'", "' '", "', '", "'x y'", "'é'", "'%s'", "'%d|%5.2f'", "'{}'", "'{0!r:>6}'", "'\\n'", "'\\u00e9\\x41\\t'", "'abc' 'def'", '"q"', "'0x1F'", "'12'", "'-3.5'", "'<&>'"]
SHOWN = ("object at 0x", "<function", "<bound method", "<built-in", "<class", "<generator", "<module", "<jinja2")
LEFT_OUT = ("64 bits", "not supported", "is not known here", "more than the", "is more than", "cannot be printed", "complex", "no entity", "does not know the entity", "longer than", "by more than")


class Maker:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.scope = []

    def pick(self, *choices):
        return self.r.choice(choices)

    def small(self):
        return str(self.r.choice([-3, -2, -1, 0, 1, 2, 3, 4, 7, 10, 80]))

    # ---- expressions by the type they mostly have ----
    def leaf(self, kind):
        r = self.r
        if self.scope and r.random() < 0.3:
            return r.choice(self.scope)
        if kind == "int":
            return r.choice(NAMES["int"] + [self.small(), self.small(), "1_000", "0x1f", "0b101"])
        if kind == "float":
            return r.choice(NAMES["float"] + ["1.5", "2.0", "0.1", "1e3", "1.25e-7", "0.0", "1e16", "123456789.125"])
        if kind == "bool":
            return r.choice(NAMES["bool"] + ["true", "false", "True"])
        if kind == "str":
            return r.choice(NAMES["str"] + STRINGS)
        if kind == "list":
            return r.choice(NAMES["list"] + ["[]", "[1, 2, 3]", "['a', 'b']", "(1, 'x')", "range(5)", "(1,)", "()"])
        if kind == "dict":
            return r.choice(NAMES["dict"] + ["{}", "{'a': 1}", "{'x': 'y', 2: 3}", "{1: 'one', 'b': none}"])
        return self.leaf(r.choice(["int", "float", "bool", "str", "list", "dict"])) if r.random() < 0.8 else r.choice(NAMES["any"] + ["none"])

    def expr(self, kind="any", depth=3):
        r = self.r
        if depth <= 0 or r.random() < 0.12:
            return self.leaf(kind)
        if kind == "any":
            kind = r.choice(["int", "float", "bool", "str", "str", "list", "dict", "other"])
        if r.random() < 0.02:
            kind = r.choice(["int", "float", "bool", "str", "list", "dict", "other"])
        return getattr(self, "make_" + kind)(depth - 1)

    def operand(self, kind, depth):
        made = self.expr(kind, depth)
        return made if made.isidentifier() or made.startswith(("(", "[")) and made.count("(") + made.count("[") == 1 else f"({made})"

    def make_other(self, d):
        o = self.operand
        e = self.expr
        return self.pick(
            lambda: f"({e('any', d)} if {e('bool', d)} else {e('any', d)})",
            lambda: f"({e('any', d)} if {e('bool', d)})",
            lambda: f"{o('dict', d)}.{self.pick('a', 'b', 'x', 'k', 'items', 'C', 'nothing')}",
            lambda: f"{o('dict', d)}[{e('any', d)}]",
            lambda: f"{o('list', d)}[{e('int', d)}]",
            lambda: f"{o('list', d)}.{self.r.randint(0, 3)}",
            lambda: f"{e('list', d)} | first", lambda: f"{e('list', d)} | last",
            lambda: f"{e('list', d)} | {self.pick('min', 'max')}",
            lambda: f"({e('any', d)} or {e('any', d)})", lambda: f"({e('any', d)} and {e('any', d)})",
            lambda: f"{e('any', d)} | default({e('any', d)}{self.pick('', ', true')})",
            lambda: f"{o('dict', d)}.get({e('str', d)}{self.pick('', ', ' + e('any', d))})",
            lambda: f"({e('any', d)})",
            lambda: f"{e('any', d)} | attr({e('str', d)})",
        )()

    def make_int(self, d):
        o = self.operand
        e = self.expr
        return self.pick(
            lambda: f"{e('int', d)} {self.pick('+', '-', '*', '//', '%')} {e('int', d)}",
            lambda: f"({e('int', d)} {self.pick('+', '-', '*', '//', '%')} {e('int', d)})",
            lambda: f"({e('int', d)}) ** {self.pick('0', '1', '2', '3')}",
            lambda: f"-{e('int', d)}", lambda: f"+{e('int', d)}",
            lambda: f"{e('any', d)} | length", lambda: f"{e('list', d)} | count",
            lambda: f"{e('str', d)} | int", lambda: f"{e('any', d)} | int({e('int', 0)})", lambda: f"{e('str', d)} | int(0, {self.pick('2', '8', '10', '16', '0', '36')})",
            lambda: f"{e('int', d)} | abs", lambda: f"{e('list', d)} | sum", lambda: f"{e('list', d)} | sum(start={e('int', 0)})",
            lambda: f"{e('str', d)} | wordcount",
            lambda: f"{o('str', d)}.{self.pick('find', 'rfind', 'count', 'index')}({e('str', d)})",
            lambda: f"{o('str', d)}.{self.pick('find', 'rfind', 'count')}({e('str', d)}, {self.small()}, {self.small()})",
            lambda: f"{o('list', d)}.count({e('any', d)})", lambda: f"{o('list', d)}.index({e('any', d)})",
            lambda: f"{e('int', d)} | round({self.pick('0', '-1', '-2', '1')})",
            lambda: f"{o('int', d)}.bit_length()",
        )()

    def make_float(self, d):
        o = self.operand
        e = self.expr
        return self.pick(
            lambda: f"{e('float', d)} {self.pick('+', '-', '*', '/', '//', '%')} {e('float', d)}",
            lambda: f"{e('int', d)} / {e('int', d)}",
            lambda: f"({e('float', d)} {self.pick('+', '-', '*')} {e('int', d)})",
            lambda: f"({e('float', d)}) ** {self.pick('2', '-1', '0.5')}",
            lambda: f"{e('float', d)} | round({self.pick('', '1', '2', '-1', '3')})",
            lambda: f"{e('float', d)} | round({self.pick('0', '1', '2')}, {self.pick(repr('ceil'), repr('floor'), repr('common'))})",
            lambda: f"{e('any', d)} | float", lambda: f"{e('any', d)} | float({e('any', 0)})", lambda: f"{e('float', d)} | abs", lambda: f"-{e('float', d)}",
        )()

    def make_bool(self, d):
        o = self.operand
        e = self.expr
        plain = ["defined", "undefined", "none", "boolean", "integer", "float", "number", "string", "mapping", "sequence", "iterable", "callable", "true", "false", "odd", "even", "lower", "upper", "escaped", "filter", "test"]
        compare = ["==", "!=", "<", "<=", ">", ">="]
        kind = self.pick("int", "float", "str", "list")
        return self.pick(
            lambda: f"{e(kind, d)} {self.pick(*compare)} {e(kind, d)}",
            lambda: f"({e('any', d)} {self.pick('==', '!=')} {e('any', d)})",
            lambda: f"{e('int', d)} < {e('int', d)} <= {e('int', d)}",
            lambda: f"({e('any', d)} {self.pick('in', 'not in')} {e(self.pick('list', 'str', 'dict'), d)})",
            lambda: f"({e('any', d)} is {self.pick('', 'not ')}{self.pick(*plain)})",
            lambda: f"({e('int', d)} is divisibleby {self.small()})", lambda: f"({e('int', d)} is divisibleby({self.small()}))",
            lambda: f"({e('any', d)} is {self.pick('eq', 'ne', 'equalto', 'sameas')}({e('any', d)}))",
            lambda: f"({e('int', d)} is {self.pick('lt', 'le', 'gt', 'ge', 'lessthan', 'greaterthan')} {self.leaf('int')})",
            lambda: f"({e('any', d)} is in({e('list', d)}))",
            lambda: f"(not {e('any', d)})",
            lambda: f"({e('bool', d)} {self.pick('and', 'or')} not {e('bool', d)})",
            lambda: f"{o('str', d)}.{self.pick('isalpha', 'isdigit', 'isalnum', 'isspace', 'isupper', 'islower', 'istitle', 'isascii', 'isnumeric', 'isdecimal', 'isprintable', 'isidentifier')}()",
            lambda: f"{o('str', d)}.{self.pick('startswith', 'endswith')}({e('str', d)})",
            lambda: f"{o('str', d)}.{self.pick('startswith', 'endswith')}(('a', {e('str', d)}){self.pick('', ', 1', ', -2, 9')})",
            lambda: f"{o('float', d)}.is_integer()",
        )()

    def make_str(self, d):
        o = self.operand
        e, s, p = self.expr, self.small, self.pick
        return p(
            lambda: f"{e('str', d)} + {e('str', d)}", lambda: f"({e('any', d)} ~ {e('any', d)})", lambda: f"{e('str', d)} * {self.pick('0', '1', '2', '3')}",
            lambda: f"{o('str', d)}[{e('int', d)}]",
            lambda: f"{o('str', d)}[{p('', s())}:{p('', s())}{p('', ':' + p('', '-1', '2', '-2', '3'))}]",
            lambda: f"{e('any', d)} | {p('upper', 'lower', 'title', 'capitalize', 'trim', 'string', 'e', 'escape', 'forceescape', 'safe', 'striptags', 'urlencode', 'reverse')}",
            lambda: f"{e('str', d)} | {p('upper', 'lower', 'title', 'capitalize', 'trim', 'string', 'e', 'safe', 'striptags', 'urlencode', 'pprint', 'tojson', 'reverse')}",
            lambda: f"{e('str', d)} | trim({e('str', d)})", lambda: f"{e('str', d)} | center({p('5', '10', '13', '30')})",
            lambda: f"{e('str', d)} | replace({e('str', d)}, {e('str', d)}{p('', ', 1', ', count=2')})",
            lambda: f"{e('str', d)} | indent({p('', '2', 'first=true', '3, true', '2, blank=true', repr('> '))})",
            lambda: f"{e('str', d)} | truncate({p('5', '8, true', '7, false, ' + repr('..'), '3, leeway=0', '10, true, ' + repr('') + ', 0')})",
            lambda: f"{e('str', d)} | wordwrap({p('5', '8', '3', '7, false', '6, wrapstring=' + repr('|'), '6, break_on_hyphens=false')})",
            lambda: f"{e('list', d)} | join({p('', repr(', '), e('str', d))})", lambda: f"ld | join(', ', attribute={p(repr('n'), repr('v'), repr('g'))})",
            lambda: f"{e('any', d)} | tojson", lambda: f"{e('any', d)} | tojson(indent={p('0', '1', '2', 'none')}{p('', ', sort_keys=true', ', ensure_ascii=true')})",
            lambda: f"{e('any', d)} | tojson(separators=({p(repr(','), repr(', '))}, {p(repr(':'), repr(': '))}))",
            lambda: f"{e('any', d)} | pprint", lambda: f"{e('any', d)} | string",
            lambda: f"({p(repr('%s'), repr('%r!'), repr('%5s|'), repr('%-6s|'), repr('%.2s'), repr('%a'))} % {e('any', d)})",
            lambda: f"({p(*map(repr, ('%d', '%05d', '%+d', '%x', '%#o', '%X', '%e', '%.1f', '%8.3f|', '%g', '%-8d|', '% d', '%c', '%08.2f', '%+.3g', '%i%%')))} % {e(p('int', 'float'), d)})",
            lambda: f"('%s and %s' % ({e('any', d)}, {e('any', d)}))", lambda: f"('%(a)s %(b)r' % {{'a': {e('any', d)}, 'b': {e('any', d)}}})",
            lambda: f"({e('str', d)} | format({e('any', d)}{p('', ', ' + e('any', d))}))",
            lambda: f"{p(*map(repr, ('{}', '{0}-{0}', '{!r}', '{:>8}|', '{:^7}', '{:*<9}', '{{}}', '{!s:.3}', '{:}')))}.format({e('any', d)})",
            lambda: f"{p(*map(repr, ('{:d}', '{:,}', '{:_}', '{:05d}', '{:+}', '{:x}', '{:#b}', '{:08.3f}', '{:e}', '{:g}', '{:.2%}', '{:>10,.2f}', '{:<6}|', '{:=+8}', '{:.3}', '{:n}', '{:c}', '{:^+9.1f}')))}.format({e(p('int', 'float'), d)})",
            lambda: f"'{{a}} {{b[0]}} {{c.x}}'.format(a={e('any', d)}, b={e('list', d)}, c={e('dict', d)})",
            lambda: f"{o('str', d)}.{p('upper', 'lower', 'title', 'capitalize', 'swapcase', 'casefold', 'strip', 'lstrip', 'rstrip', 'expandtabs')}()",
            lambda: f"{o('str', d)}.{p('strip', 'lstrip', 'rstrip', 'removeprefix', 'removesuffix')}({e('str', d)})",
            lambda: f"{o('str', d)}.{p('center', 'ljust', 'rjust')}({p('4', '9', '20')}{p('', ', ' + repr('*'))})", lambda: f"{o('str', d)}.zfill({p('3', '8')})",
            lambda: f"{o('str', d)}.replace({e('str', d)}, {e('str', d)}{p('', ', 1')})", lambda: f"{o('str', d)}.join({e('list', d)})",
            lambda: f"{p('1', '999', '1000', '1500', '123456789', 'n', 'f')} | filesizeformat{p('', '(true)')}",
            lambda: f"{e('dict', d)} | xmlattr", lambda: f"{e('dict', d)} | urlencode",
            lambda: f"({e('str', d)} | e) + {e('str', d)}", lambda: f"({e('str', d)} | safe) {p('~', '+')} {e('str', d)}",
        )()

    def make_list(self, d):
        o = self.operand
        e, p, s = self.expr, self.pick, self.small
        return p(
            lambda: f"[{e('any', d)}, {e('any', d)}]", lambda: f"({e('any', d)}, {e('any', d)})", lambda: f"{e('list', d)} + {e('list', d)}", lambda: f"{e('list', d)} * 2",
            lambda: f"{o('list', d)}[{p('', s())}:{p('', s())}{p('', ':' + p('', '-1', '2'))}]",
            lambda: f"range({s()}, {s()}{p('', ', 2', ', -1', ', 3')})", lambda: f"range({p('3', '5')})",
            lambda: f"{e('list', d)} | {p('list', 'sort', 'reverse | list', 'unique | list', 'sort(reverse=true)', 'sort(case_sensitive=true)', 'unique(true) | list', 'select | list', 'reject | list')}",
            lambda: f"{e('str', d)} | list", lambda: f"{e('dict', d)} | list", lambda: f"{e('dict', d)} | dictsort{p('', '(true)', '(by=' + repr('value') + ')', '(reverse=true)')}",
            lambda: f"{e('dict', d)} | items | list", lambda: f"{o('dict', d)}.{p('items', 'keys', 'values')}(){p('', ' | list', ' | sort')}",
            lambda: f"{e('list', d)} | map({p(*map(repr, ('upper', 'string', 'int', 'length', 'e', 'list', 'first', 'trim', 'float', 'tojson')))}) | list",
            lambda: f"ld | map(attribute={p(*map(repr, ('n', 'v', 'g', 'n.0', 'x')))}{p('', ', default=9')}) | list",
            lambda: f"{e('list', d)} | {p('select', 'reject')}({p(*map(repr, ('string', 'number', 'odd', 'defined', 'none', 'sequence', 'upper', 'mapping')))}) | list",
            lambda: f"{e('list', d)} | {p('select', 'reject')}({p(*map(repr, ('gt', 'eq', 'in', 'ne', 'lt', 'divisibleby')))}, {e('any', d)}) | list",
            lambda: f"ld | {p('selectattr', 'rejectattr')}({p(*map(repr, ('v', 'n', 'x')))}{p('', ', ' + repr('defined'), ', ' + repr('equalto') + ', 2', ', ' + repr('gt') + ', 1')}) | map(attribute='n') | list",
            lambda: f"ld | sort(attribute={p(*map(repr, ('n', 'g', 'g,n', 'v')))}{p('', ', reverse=true', ', case_sensitive=true')}) | map(attribute='n') | list",
            lambda: f"ld | groupby({p(*map(repr, ('g', 'n')))}{p('', ', case_sensitive=true')}) | map('first') | list", lambda: "ld | groupby('g') | map('last') | map('length') | list",
            lambda: f"ld | groupby('v', default={p('0', '2')}) | map('first') | list",
            lambda: f"ld | {p('min', 'max')}(attribute={p(*map(repr, ('n', 'g')))})", lambda: f"ld | unique(attribute='g') | map(attribute='n') | list",
            lambda: f"{e('list', d)} | batch({p('1', '2', '3')}{p('', ', ' + repr('-'))}) | list", lambda: f"{e('list', d)} | slice({p('1', '2', '3')}{p('', ', 0')}) | list",
            lambda: f"{o('str', d)}.split({p('', e('str', d), repr(' ') + ', 1', 'none, 1')})", lambda: f"{o('str', d)}.rsplit({p('', e('str', d), repr(' ') + ', 1', 'none, 1')})",
            lambda: f"{o('str', d)}.splitlines({p('', 'true')})", lambda: f"{o('str', d)}.{p('partition', 'rpartition')}({e('str', d)})",
            lambda: f"{o('list', d)}.copy()",
        )()

    def make_dict(self, d):
        o = self.operand
        e, p = self.expr, self.pick
        return p(
            lambda: f"{{{e('str', d)}: {e('any', d)}, {e('any', d)}: {e('any', d)}}}", lambda: f"dict(a={e('any', d)}, **{e('dict', d)})",
            lambda: f"dict({e('dict', d)}, z={e('any', d)})", lambda: f"dict({e('list', d)})", lambda: f"{o('dict', d)}.copy()", lambda: f"dn.k{p('', '.x')}", lambda: "ld[0]",
        )()

    # ---- statements ----
    def sign(self):
        return self.r.choice(["", "", "", "-", "+"])

    def tag(self, inside):
        return "{%" + self.sign() + " " + inside + " " + self.sign() + "%}"

    def text(self):
        return self.r.choice(["", " ", "\n", "text", "\n  ", "  \n\n", " a\n\t", "<|im_start|>", "x ", "\r\n", "}}", "{ { ", "{# note #}", "{#- note -#}\n", "{% raw %}{{ r }}{% endraw %}", "{%- raw -%} {% x %} {%- endraw +%}\n"])

    def show(self, d=2):
        return "{{" + self.sign() + " " + self.expr("any", d) + " " + self.sign().replace("+", "") + "}}"

    def body(self, depth):
        parts = []
        for _ in range(self.r.randint(1, 3)):
            parts.append(self.text())
            parts.append(self.statement(depth) if depth > 0 and self.r.random() < 0.6 else self.show())
        return "".join(parts) + self.text()

    def loop(self, depth):
        var = self.pick("i", "m", "x")
        over = self.expr("list", 2)
        extra = self.r.choice(["", "", "", f" if {var} is string", f" if {var}", " recursive"])
        self.scope += [var, "loop.index", "loop.last", "loop.length", "loop.revindex0", "loop.previtem", "loop.nextitem", "loop.changed(" + var + ")", "loop.cycle('p', 'q', 'r')", "loop.depth"]
        inner = self.body(depth - 1)
        if self.r.random() < 0.2:
            inner += self.tag("if " + self.pick("loop.index0 == 1", f"{var} is number", "loop.first")) + self.tag(self.pick("break", "continue")) + self.tag("endif")
        if "recursive" in extra and self.r.random() < 0.7:
            inner += "{{ loop(" + var + ") if " + var + " is iterable and " + var + " is not string and loop.depth < 4 }}"
        del self.scope[-10:]
        other = self.tag("else") + self.body(depth - 1) if self.r.random() < 0.3 else ""
        return self.tag(f"for {var} in {over}{extra}") + inner + other + self.tag("endfor")

    def macro(self, depth):
        name = self.pick("mac", "draw")
        self.scope += ["a", "b"]
        inner = self.body(depth - 1) + self.r.choice(["", "{{ caller() if caller }}", "{{ varargs }}", "{{ kwargs }}", "{{ caller(a) if caller }}"])
        del self.scope[-2:]
        call = f"{name}({self.expr('any', 1)}{self.pick('', ', ' + self.expr('any', 1), ', b=1', ', 2, 3', ', c=3', ', *[1, 2]', ', **{' + repr('b') + ': 5}')})"
        use = "{{ " + call + " }}" if self.r.random() < 0.6 else self.tag(f"call{self.pick('', '(y)')} {call}") + self.text() + "c" + self.tag("endcall")
        return self.tag(f"macro {name}(a, b={self.expr('any', 1)})") + inner + self.tag("endmacro") + use

    def statement(self, depth):
        p = self.pick
        return p(
            lambda: self.loop(depth), lambda: self.loop(depth), lambda: self.macro(depth),
            lambda: self.tag("if " + self.expr("bool", 2)) + self.body(depth - 1) + (self.tag("elif " + self.expr("bool", 2)) + self.body(depth - 1) if self.r.random() < 0.4 else "") + (self.tag("else") + self.body(depth - 1) if self.r.random() < 0.5 else "") + self.tag("endif"),
            lambda: self.tag(f"set v = {self.expr('any', 2)}") + "{{ v }}", lambda: self.tag(f"set v, w = {self.expr('any', 1)}, {self.expr('any', 1)}") + "{{ w }}{{ v }}",
            lambda: self.tag("set v" + p("", " | upper", " | trim | length")) + self.body(depth - 1) + self.tag("endset") + "[{{ v }}]",
            lambda: self.tag("filter " + p("upper", "trim", "indent(2)", "replace('a', 'b')", "title | trim")) + self.body(depth - 1) + self.tag("endfilter"),
            lambda: self.tag(f"with v = {self.expr('any', 2)}, w = 3") + "{{ v }}" + self.body(depth - 1) + self.tag("endwith"),
            lambda: self.tag("generation") + self.body(depth - 1) + self.tag("endgeneration"),
            lambda: "{% set ns = namespace(a=1) %}" + self.tag(f"for i in {p('l', 'ls', 'range(4)')}") + self.tag("set ns.a = " + p("ns.a + 1", "loop.index", "i", "ns.a ~ i")) + self.tag("endfor") + "{{ ns.a }}{{ ns.b }}",
            lambda: self.tag(f"block b{self.r.randint(0, 10 ** 6)}{p('', ' scoped')}") + self.body(depth - 1) + self.tag("endblock"),
            lambda: self.tag(f"print {self.expr('any', 2)}, {self.expr('any', 1)}"),
        )()

    def template(self):
        kind = self.r.random()
        if kind < 0.55:
            return "{{ " + self.expr("any", self.r.randint(1, 4)) + " }}"
        return self.body(self.r.randint(1, 3))


def run(program, folder, template):
    path = pathlib.Path(folder) / "template.jinja"
    path.write_bytes(template.encode("utf-8"))
    words = [program, "template", "--template", str(path), "--messages", str(pathlib.Path(folder) / "messages.json")]
    for name, value in VARIABLES.items():
        words += ["--template-var", f"{name}={json.dumps(value)}"]
    done = subprocess.run(words, capture_output=True, timeout=60)
    return done.returncode, done.stdout, done.stderr.decode("utf-8", "replace")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("program")
    arguments.add_argument("--count", type=int, default=1000)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--record", action="store_true")
    arguments.add_argument("--verbose", action="store_true", help="print why templates are refused")
    arguments.add_argument("--stop", type=int, default=30, help="differences after which to stop")
    o = arguments.parse_args()
    maker = Maker(o.seed)
    counts = {"same": 0, "refused by both": 0, "left out": 0, "different": 0}
    recorded = []
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "messages.json").write_text("[]")
        while sum(counts.values()) < o.count and counts["different"] < o.stop:
            template = maker.template()
            try:
                want = jinja.render(template, {**jinja.defaults([]), **VARIABLES})
            except (RecursionError, MemoryError):
                continue
            if want is not None and (any(s in want for s in SHOWN) or len(want) > 3000 or any(0xD800 <= ord(c) < 0xE000 for c in want)):
                counts["left out"] += 1
                continue
            code, out, err = run(o.program, folder, template)
            if code not in (0, 1):
                print(f"CRASH {code}: {template!r}\n  {err}")
                counts["different"] += 1
            elif code == 1 and want is None:
                counts["refused by both"] += 1
                if o.verbose:
                    print(err.strip().partition(": chat template, ")[2], repr(template)[:300])
            elif code == 0 and want is not None and out.decode("utf-8", "replace") == want:
                counts["same"] += 1
                if o.record and len(want) < 400 and len(template) < 400:
                    recorded.append({"template": template, "output": want})
            elif code == 1 and any(s in err for s in LEFT_OUT):
                counts["left out"] += 1
            else:
                counts["different"] += 1
                print(f"template {template!r}\n  jinja2  {want!r}\n  foundry {out.decode('utf-8', 'replace')!r} {err.strip()}")
    print(", ".join(f"{n} {name}" for name, n in counts.items()))
    if o.record:
        where = pathlib.Path(__file__).with_name("random.json")
        lines = ",\n".join(json.dumps(c, ensure_ascii=False) for c in recorded)
        where.write_text('{"variables": ' + json.dumps(VARIABLES, ensure_ascii=False) + ',\n"cases": [\n' + lines + "\n]}\n", encoding="utf-8")
    return 1 if counts["different"] else 0


sys.exit(main())
