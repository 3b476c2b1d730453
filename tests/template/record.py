#!/usr/bin/env python3
"""Records what Jinja2 prints for every template in cases.json, in the environment in which
transformers renders chat templates. Run it after adding templates ("output" may be left out):

    python3 tests/template/record.py

A template that Jinja2 refuses gets "output": null. Templates that Foundry knowingly does not support
do not belong here."""
import json
import pathlib

import jinja2
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        next(parser.stream)
        return parser.parse_statements(["name:endgeneration"], drop_needle=True)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", Generation])
environment.filters["tojson"] = tojson
environment.globals["raise_exception"] = raise_exception


def render(template, data):
    try:
        return environment.from_string(template).render(
            messages=data["messages"], tools=None, documents=None, add_generation_prompt=True, **data["variables"])
    except Exception:  # whatever Python raises: the template is refused
        return None


path = pathlib.Path(__file__).with_name("cases.json")
data = json.loads(path.read_text(encoding="utf-8"))
data["jinja2"] = jinja2.__version__
for case in data["cases"]:
    case["output"] = render(case["template"], data)
path.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
