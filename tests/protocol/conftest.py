"""Protocol files made from one that is right."""

import json
import re

import pytest

from elastic.errors import ElasticError
from elastic.protocol import load_protocol

#: Every section, each value on a line of its own; the line numbers are told by `line_of`.
BASE = """\
name: little
title: A protocol with one of everything
cites: [he2023law]
data:
  name: digits
  per_class: 20
model:
  name: mlp
  widths: [8, 4]
optimizer:
  name: sgd
  lr: 0.05
training:
  epochs: 3
"""


class Files:
    """Writes protocol files into an empty folder and reads them."""

    def __init__(self, folder):
        self.folder = folder
        self.path = folder / "a.yaml"

    def load(self, text=BASE, **options):
        if isinstance(text, dict):
            text = json.dumps(text)  # JSON is YAML
        self.path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_protocol(self.path, **options)

    def refuse(self, text=BASE, **options) -> ElasticError:
        """Return the error that a file meets, its place without the folder."""
        with pytest.raises(ElasticError) as caught:
            self.load(text, **options)
        error = caught.value
        assert error.place is not None
        assert re.search(r" should .+; found .+; try .+", str(error))
        return error.at(error.place.removeprefix(f"{self.folder}/"))


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


@pytest.fixture
def base():
    return BASE
