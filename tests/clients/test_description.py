"""What a field means is told once, in service/jobs.py: whoever tells it has it from there."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from service.jobs import Job, Limits, Spec, Stdin, Stop, described
from service.web.openapi import document

HTTP_MD = Path(__file__).parents[2] / "docs" / "http.md"
SCHEMAS = msgspec.json.decode(document())["components"]["schemas"]


def table(heading: str) -> dict[str, str]:
    """Return the rows of the first table below a heading of docs/http.md."""
    text = HTTP_MD.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = text.partition("| field | is |\n| --- | --- |\n")[2].partition("\n\n")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", rows, re.M))


@pytest.mark.parametrize("struct", [Spec, Stop, Limits, Stdin, Job])
def test_the_openapi_document_tells_each_field_as_the_types_do(struct):
    properties = SCHEMAS[struct.__name__]["properties"]
    for name, meta in described(struct).items():
        assert properties[name]["title"] == meta.title
        assert properties[name]["description"] == meta.description


def test_every_field_is_described():
    for struct in (Spec, Stop, Limits, Stdin, Job):
        assert list(described(struct)) == list(struct.__struct_fields__)


def test_the_documentation_tells_each_field_of_a_spec_as_the_types_do():
    told = {name: meta.description for name, meta in described(Spec).items()}
    assert table("What to ask for") == told


def test_the_documentation_tells_each_field_of_a_job_as_the_types_do():
    told = {name: meta.description for name, meta in described(Job).items()}
    asked = Spec.__struct_fields__
    assert table("What comes back") == {n: t for n, t in told.items() if n not in asked}


def test_the_examples_of_a_spec_are_accepted():
    for name, meta in described(Spec).items():
        for example in meta.examples:
            msgspec.convert({"args": ["true"]} | {name: example}, Spec)
