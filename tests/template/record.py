#!/usr/bin/env python3
"""Records what Jinja2 prints, for the tests to compare with:

    python3 tests/template/record.py
    python3 tests/template/record.py --check

For every template in cases.json and edges.json ("output" may be left out of new ones), and for every templates/*.jinja
over every conversation in conversations.json (into rendered.json). What Jinja2 refuses gets null.
Templates that Foundry knowingly does not support do not belong here. With --check nothing is written: files that are
not as they would be are named, and the exit code is 1."""
import json
import pathlib
import sys

import jinja

here = pathlib.Path(__file__).parent


def read(name):
    return json.loads((here / name).read_text(encoding="utf-8"))


def write_text(name, text):
    if sys.argv[1:] != ["--check"]:
        (here / name).write_text(text, encoding="utf-8")
    elif (here / name).read_text(encoding="utf-8") != text:
        sys.exit(f"{name} is not what Jinja2 {jinja.jinja2.__version__} prints")


def write(name, data):
    write_text(name, json.dumps(data, ensure_ascii=False, indent=1) + "\n")


def record_cases():
    data = read("cases.json")
    data["jinja2"] = jinja.jinja2.__version__
    variables = {**jinja.defaults(data["messages"]), **data["variables"]}
    for case in data["cases"]:
        case["output"] = jinja.render(case["template"], variables)
    write("cases.json", data)


def record_templates():
    rendered = {}
    conversations = read("conversations.json")
    for path in sorted((here / "templates").glob("*.jinja")):
        template = path.read_text(encoding="utf-8")
        rendered[path.stem] = {
            name: jinja.render(template, {**jinja.defaults(c["messages"], c.get("tools"), None, c.get("generate", True)), **c.get("variables", {})})
            for name, c in conversations.items()}
    write("rendered.json", rendered)


def record_edges():
    """As cases.json, but with the variables of the random templates, and one case a line."""
    data = read("edges.json")
    for case in data["cases"]:
        case["output"] = jinja.render(case["template"], {**jinja.defaults([]), **data["variables"]})
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in data["cases"])
    write_text("edges.json", '{"variables": ' + json.dumps(data["variables"], ensure_ascii=False) + ',\n"cases": [\n' + lines + "\n]}\n")


record_cases()
record_edges()
record_templates()
