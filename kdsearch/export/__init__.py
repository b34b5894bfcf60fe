"""A student out of the search: weights, config, ONNX, model card, in a folder of its own."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from kdsearch.architecture import Architecture
from kdsearch.config import DataConfig
from kdsearch.data import load_data
from kdsearch.errors import UserError
from kdsearch.export.model_card import readme
from kdsearch.export.onnx_model import (
    ConversionError,
    Parity,
    compare,
    not_installed,
    sample,
    to_onnx,
)
from kdsearch.own_code import permit_code
from kdsearch.results.log import read_events
from kdsearch.results.remote import reading, reading_student
from kdsearch.student_folder import (
    CONFIG,
    WEIGHTS,
    StudentCard,
    permit_student,
    read_card,
    read_student,
    student_of,
    untrained,
)
from kdsearch.student_folder.card import exported_form
from kdsearch.validation import validate
from kdsearch.whole import write_folder

__all__ = ["ExportReport", "Parity", "build_from_config", "export_student", "export_trial"]

ONNX, README = "student.onnx", "README.md"
FILES = {CONFIG, ONNX, README, WEIGHTS}


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export wrote.

    Attributes
    ----------
    folder : Path
    files : tuple of str
        Names in it.
    parity : Parity or None
        How near the ONNX file is to PyTorch; None where there is no ONNX file.
    note : str or None
        Why no ONNX file could be made, and the remedy.
    """

    folder: Path
    files: tuple[str, ...]
    parity: Parity | None = None
    note: str | None = None


def export_student(
    source: str | os.PathLike[str],
    to: str | os.PathLike[str],
    onnx: bool | None = None,
    images: Tensor | None = None,
    code: str | os.PathLike[str] | None = None,
) -> ExportReport:
    """Write a student as a folder that stands alone.

    It holds ``config.json``, ``student.safetensors``, ``README.md`` and ``student.onnx``, which
    takes raw uint8 images (B, C, H, W) of any batch size, normalises them inside and gives logits.

    Parameters
    ----------
    source : path
        ``results/<search>/students/<trial_id>``, its address, or a former export.
    to : path
        A new or empty folder, or a former export, which is replaced.
    onnx : bool, optional
        True: fail where no ONNX file can be made. False: make none. None: say why in the report.
    images : Tensor of shape (N, C, H, W), uint8, optional
        Real images on which ONNX and PyTorch are compared, beside random ones.
    code : path, optional
        The folder of the module that the student names as ``module:callable``; without it none is
        imported.

    Raises
    ------
    UserError
        No student in `source`, a folder `to` with other files, an ONNX file that was asked for and
        cannot be made, or one that differs from PyTorch.
    """
    to = Path(to).resolve()
    _check_target(to)
    with reading_student(source) as folder:
        card, weights = read_student(folder)
        permit_student(card, str(folder), code)
        network = student_of(card, weights, str(folder), raw=True)
    model = parity = note = None
    if onnx is not False:
        try:
            model, parity = _onnx(card, network, images)
        except ConversionError as error:
            if onnx:
                raise UserError(ONNX, str(error)) from error
            note = f"no {ONNX}: {error}"
    files = {CONFIG: exported_form(card), WEIGHTS: weights, README: readme(card, parity).encode()}
    if model is not None:
        files[ONNX] = model
    try:
        write_folder(to, files)
    except OSError as error:
        raise UserError(str(to), f"cannot be written ({error.strerror}); name another") from error
    return ExportReport(to, tuple(sorted(files)), parity, note)


def build_from_config(
    path: str | os.PathLike[str], seed: int = 0, code: str | os.PathLike[str] | None = None
) -> nn.Module:
    """The network that an exported ``config.json`` describes, with fresh weights.

    `kdsearch.student_folder.load_student` gives the trained one.

    Parameters
    ----------
    path : path
        The file, or the folder that holds it.
    seed : int
        Of the weights.
    code : path, optional
        The folder of the module that it names as ``module:callable``; without it none is imported.

    Raises
    ------
    UserError
        No such file, or one with wrong entries.
    """
    card = read_card(path)
    permit_student(card, str(path), code)
    return untrained(card, str(path), seed)


def _onnx(card: StudentCard, network: nn.Module, images: Tensor | None) -> tuple[bytes, Parity]:
    if missing := not_installed():
        raise ConversionError(f'{missing} not installed; pip install "kdsearch[onnx]"')
    shape = Architecture.from_json(card.architecture).input
    model = to_onnx(network, shape)
    parity = compare(model, network, sample(shape, images))
    if not parity.holds:
        fault = f"its logits differ from PyTorch's by up to {parity.max_difference:.2g}"
        raise UserError(ONNX, f"{fault}; export without ONNX, and report the architecture")
    return model, parity


def _check_target(to: Path) -> None:
    """Nothing but a former export is ever replaced."""
    if to.exists() and not to.is_dir():
        raise UserError(str(to), "is a file; name a folder")
    names = {path.name for path in to.iterdir()} if to.is_dir() else set()
    if foreign := sorted(names - FILES):
        fault = f"holds {foreign[0]}, which no export wrote; name a new or empty folder"
        raise UserError(str(to), fault)
    try:
        if names:
            read_card(to / CONFIG)
    except UserError as error:
        fault = f"is no former export ({error}); name a new or empty folder"
        raise UserError(str(to), fault) from error


def export_trial(
    results: str | os.PathLike[str], trial_id: str, to: Path, code: Path | None = None
) -> ExportReport:
    """Export the student of a trial, from the folder of its search.

    Parameters
    ----------
    code : Path, optional
        As for `export_student`; real images of a user's own function are taken only with it.

    Raises
    ------
    UserError
        A trial whose weights were not kept, and as `export_student`.
    """
    with reading(results, (), student=trial_id) as folder:
        return _export(folder, trial_id, to, code)


def _export(results: Path, trial_id: str, to: Path, code: Path | None) -> ExportReport:
    source = results / "students" / trial_id
    if not re.fullmatch(r"\d+", trial_id) or not source.is_dir():
        kept = sorted(p.name for p in (results / "students").glob("[0-9]*"))
        raise UserError(
            str(results),
            f"keeps no weights of trial {trial_id!r}; those of the front are kept "
            f"({', '.join(kept[:5]) or 'none yet'}); others are made by `kdsearch trial`",
        )
    images = _real_images(source, _base(results), code)
    return export_student(source, to, images=images, code=code)


def _base(results: Path) -> Path:
    """The folder of the search file, which paths and modules of a search start from."""
    header = read_events(results / "log.jsonl")[0] if (results / "log.jsonl").exists() else {}
    return Path(header.get("base", "."))


def _real_images(source: Path, base: Path, code: Path | None) -> Tensor | None:
    """Some of the test images, where the data are still at hand."""
    try:
        section = read_card(source).spec["plan"]["data"]
        permit_code(section, str(source), code)
        data = load_data(validate(DataConfig, section), base)
    except (UserError, KeyError, TypeError):
        return None
    return data.test.images[:512]
