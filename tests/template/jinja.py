"""Jinja2 as transformers sets it up for chat templates: what Foundry's interpreter is compared with."""
import datetime
import json

import jinja2
from jinja2.ext import Extension
from jinja2.nodes import CallBlock
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Generation(Extension):
    """{% generation %}: its body as a call block, as in transformers, which also notes where it is."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return CallBlock(self.call_method("_render"), [], [], body).set_lineno(line)

    def _render(self, caller):
        return caller()


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def strftime_now(format):
    return datetime.datetime.now().strftime(format)


environment = ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", Generation])
environment.filters["tojson"] = tojson
environment.globals["raise_exception"] = raise_exception
environment.globals["strftime_now"] = strftime_now


def render(template, variables):
    """The rendered text; None when Jinja2 or Python refuses the template."""
    try:
        return environment.from_string(template).render(**variables)
    except RecursionError:
        raise
    except Exception:  # whatever Python raises: the template is refused
        return None


def defaults(messages, tools=None, documents=None, add_generation_prompt=True):
    """The variables that every template sees."""
    return {"messages": messages, "tools": tools, "documents": documents, "add_generation_prompt": add_generation_prompt}
