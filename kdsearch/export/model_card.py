"""The model card of an exported student: what it is and how it is loaded."""

from __future__ import annotations

import json

from kdsearch.architecture import Architecture
from kdsearch.cost import cost
from kdsearch.export.onnx_model import INPUT, OUTPUT, Parity
from kdsearch.student_folder import StudentCard

CLASSES_SHOWN = 20

PYTORCH = """\
## PyTorch

```python
import torch
from kdsearch.student_folder import load_student

student = load_student(".", raw=True)  # this folder; takes pixels of 0..255, uint8 or float
images = torch.zeros({batch}, dtype=torch.uint8)
with torch.no_grad():
    logits = student(images).logits
```

With `raw=False` it takes float32 images, `(pixels * scale - mean) / std`, by `preprocessing` in
`config.json`.
"""

ONNX = """\
## ONNX Runtime

```python
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("student.onnx")
images = np.zeros({batch}, dtype=np.uint8)
(logits,) = session.run(["{output}"], {{"{input}": images}})
```

The preprocessing is inside. On {images} images the logits differ from PyTorch's by at most
{difference:.1e}; the same class comes first on {agreement:.2%} of them.
"""

FOREIGN = """\
The network is made by `{family}`: give `load_student` the folder of that module, `code="..."`.
"""


def readme(card: StudentCard, parity: Parity | None) -> str:
    """The text of ``README.md``; the section on ONNX stands only where there is such a file."""
    architecture = Architecture.from_json(card.architecture)
    batch = (4, *architecture.input)
    parts = [f"# {_name(card)}\n", _about(card, architecture), PYTORCH.format(batch=batch)]
    if ":" in architecture.family:
        parts.append(FOREIGN.format(family=architecture.family))
    if parity is not None:
        text = ONNX.format(
            batch=batch,
            input=INPUT,
            output=OUTPUT,
            images=parity.images,
            difference=parity.max_difference,
            agreement=parity.agreement,
        )
        parts.append(text)
    return "\n".join(parts)


def _about(card: StudentCard, architecture: Architecture) -> str:
    price = cost(architecture)
    shape = " x ".join(map(str, architecture.input))
    accuracy = "not measured"
    if card.validation_accuracy is not None:
        accuracy = f"{card.validation_accuracy:.4f} (fraction, last epoch, validation split)"
    return f"""\
An image classifier of the family `{architecture.family}`, found by a kdsearch search.

| | |
| --- | --- |
| search, trial | {card.search}, {card.trial_id} |
| data | {card.data} |
| validation accuracy | {accuracy} |
| parameters | {price.parameters:,} |
| multiply-accumulates an image | {price.macs:,} |
| input | uint8 images, batch x {shape} (channels, height, width) |
| classes | {_classes(card)} |

The search chose this student by its validation accuracy; expect a little less on new images.
"""


def _name(card: StudentCard) -> str:
    return f"{card.search}, trial {card.trial_id}"


def _classes(card: StudentCard) -> str:
    shown = ", ".join(json.dumps(name) for name in card.classes[:CLASSES_SHOWN])
    more = len(card.classes) - CLASSES_SHOWN
    return f"{len(card.classes)}: {shown}" + (
        f" and {more} more in `config.json`" if more > 0 else ""
    )
