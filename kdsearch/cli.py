"""The command line: parse, call, print. No logic, and no slow import before it is needed."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from kdsearch.errors import UserError
from kdsearch.terminal import print_front, print_methods, print_profile, print_report, say

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Find the best small network for your data.",
)
policies = typer.Typer(no_args_is_help=True, help="Policies of n2n, to begin other searches with.")
app.add_typer(policies, name="policy")
# Where nobody sees an edge, no table is cut at one.
console = Console(width=None if sys.stdout.isatty() else 200)
LARGEST_SEED = 2**63 - 1  # rows have seeds beyond 31 bits
INTERRUPTED = 130  # what a shell calls a command that Ctrl-C ended

SearchFile = Annotated[Path, typer.Argument(help="A search file (YAML).", show_default=False)]
Results = Annotated[
    str,
    typer.Argument(
        help="The folder of a search, results/<search>; or its address, s3://...",
        show_default=False,
    ),
]
TrialId = Annotated[str, typer.Argument(help="A trial's id.", show_default=False)]
Edits = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="Change a key: training.epochs=20.")
]
Address = Annotated[
    str | None, typer.Option(help="A Ray cluster to join: auto, on one of its nodes.")
]
Code = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Your modules' folder, where the results name some."),
]
ResultsDir = Annotated[
    str,
    typer.Option(
        "--results", help="Where searches land: a folder, or s3://..., gs://..., hdfs://."
    ),
]


@app.command()
def run(
    file: SearchFile,
    results: ResultsDir = "results",
    edits: Edits = [],  # noqa: B006 - typer copies it
    earlier: Annotated[
        list[str], typer.Option("--from", metavar="RESULTS", help="An earlier search to use.")
    ] = [],  # noqa: B006
    address: Address = None,
    baseline: Annotated[
        bool, typer.Option(help="Then the front's students again, with and without their teacher.")
    ] = False,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Repeats of each for --baseline: 3.")
    ] = None,
    quiet: Annotated[bool, typer.Option(help="Print the front alone.")] = False,
) -> None:
    """Run a search, or go on with it, and print its front."""
    if seeds is not None and not baseline:
        raise UserError("--seeds", "repeats are of --baseline; add it, or use `kdsearch finish`")
    from kdsearch.tune.search import run_search

    done = run_search(
        file,
        results=results,
        edits=edits,
        earlier=earlier,
        address=address,
        baseline=(seeds or 3) if baseline else 0,
        console=console,
        quiet=quiet,
    )
    if (done.folder / "trials.parquet").exists():
        print_front(console, done.folder, write=False, name=done.place)
    if not done.finished:
        raise typer.Exit(INTERRUPTED)


@app.command()
def check(file: SearchFile, edits: Edits = []) -> None:  # noqa: B006
    """Check a search file: its choices, its cheapest and dearest student, what a trial needs."""
    from kdsearch.check import check_search
    from kdsearch.search_config import find_user_code, load_config
    from kdsearch.summary import summary_lines

    config = load_config(file, edits)
    find_user_code(config.base)
    for line in summary_lines(config, check_search(config)):
        say(console, line)


@app.command()
def profile(
    file: SearchFile,
    edits: Edits = [],  # noqa: B006
    trials: Annotated[int, typer.Option(min=1, help="Random trials to look at.")] = 4,
) -> None:
    """Train a few trials and print where their time goes, against the bare student's step."""
    from kdsearch.search_config import find_user_code, load_config
    from kdsearch.tune.profile import profile_search

    config = load_config(file, edits)
    find_user_code(config.base)
    print_profile(console, profile_search(config, trials))


@app.command()
def front(
    results: Results,
    html: Annotated[bool, typer.Option(help="Write front.html too, to hover over.")] = False,
) -> None:
    """Print the front of a search, and write front.csv and front.svg."""
    print_front(console, results, write=True, html=html)


@app.command()
def finish(
    results: Results,
    seeds: Annotated[int, typer.Option(help="Repeats of each student.")] = 3,
    epochs: Annotated[
        int | None, typer.Option(help="Of their schedule, instead of each one's own.")
    ] = None,
    near: Annotated[
        float, typer.Option(help="Also students so little less accurate than the front's.")
    ] = 0.01,
    baseline: Annotated[bool, typer.Option(help="Also each one without its teacher.")] = True,
    unfinished: Annotated[bool, typer.Option(help="Also of a search that is not over.")] = False,
    address: Address = None,
    code: Code = None,
    quiet: Annotated[bool, typer.Option(help="Print the front alone.")] = False,
) -> None:
    """Train the front's students again over seeds, and print means and intervals on test.

    Of a search that is over: go on with `kdsearch run` first, or say --unfinished.
    """
    from kdsearch.tune.finish import finish_search

    done = finish_search(
        results,
        seeds=seeds,
        epochs=epochs,
        near=near,
        baseline=baseline,
        unfinished=unfinished,
        address=address,
        code=code,
        console=console,
        quiet=quiet,
    )
    print_front(console, results, write=False)
    if not done:
        raise typer.Exit(INTERRUPTED)


@app.command()
def report(
    results: Annotated[
        list[str], typer.Argument(help="Folders or addresses of searches.", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Where it lands; the first search's by default.")
    ] = None,
    mix_data: Annotated[
        bool, typer.Option("--mix-data", help="Draw searches on different data together.")
    ] = False,
) -> None:
    """Write report.html, report.svg and report.png of a search, or of several together."""
    print_report(console, results, out, mix_data)


@app.command()
def trial(
    results: Results,
    trial_id: TrialId,
    edits: Edits = [],  # noqa: B006
    seed: Annotated[
        int | None, typer.Option(min=0, max=LARGEST_SEED, help="Another seed than the row's.")
    ] = None,
    code: Code = None,
) -> None:
    """Run one row again, exactly; or its student on other data or for longer, with --set."""
    from kdsearch.tune.rerun import rerun_trial

    rerun_trial(results, trial_id, edits=edits, seed=seed, code=code, say=partial(say, console))


@app.command()
def export(
    results: Results,
    trial_id: TrialId,
    to: Annotated[Path, typer.Option("--to", help="The folder to make.", show_default=False)],
    code: Code = None,
) -> None:
    """Write a student as config, safetensors and ONNX, and hold the two against each other."""
    from kdsearch.export import export_trial

    done = export_trial(results, trial_id, to, code)
    say(console, f"{done.folder}: {', '.join(done.files)}")
    if done.parity is not None:
        say(console, f"ONNX against PyTorch: {done.parity}")
    if done.note is not None:
        say(console, done.note)


@app.command()
def methods(
    name: Annotated[
        str | None, typer.Argument(help="A row of the list, or your own module:Class.")
    ] = None,
) -> None:
    """List the distillation losses; or print the card of one: equation, defaults, pitfalls."""
    print_methods(console, name)


@app.command()
def study(
    results: Results,
    storage: Annotated[str, typer.Option(help="A database URL: sqlite:///study.db.")],
) -> None:
    """Rebuild the Optuna study of a search from its log, for optuna-dashboard."""
    from kdsearch.tune.study import write_study

    count, name = write_study(results, storage)
    say(console, f"{count} trials written as the study {name}; now: optuna-dashboard {storage}")


@policies.command("save")
def save_policy(
    results: Results,
    file: Annotated[Path, typer.Argument(help="The file to write.", show_default=False)],
    code: Code = None,
) -> None:
    """Rebuild the policy of a search from its log, for `proposer.policy` of another one."""
    from kdsearch.tune import policy

    told = policy.save_policy(results, file, code)
    say(
        console,
        f"{file}: the policy after {told} trials; begin a search with proposer.policy: {file}",
    )


@app.command()
def submit(
    file: SearchFile,
    address: Annotated[str, typer.Option(help="The cluster's job server: http://head:8265.")],
    results: Annotated[str, typer.Option(help="A folder that the nodes share, or s3://...")],
    edits: Edits = [],  # noqa: B006
) -> None:
    """Submit a search to a Ray cluster from outside it, as a Ray job."""
    from kdsearch.tune.submit import submit_search

    say(console, submit_search(file, address, results, edits))


def main() -> NoReturn:
    """Run the command line; a user's error is one line on stderr and exit code 2."""
    try:
        code = app(standalone_mode=False)
    except UserError as error:
        print(f"kdsearch: {error}", file=sys.stderr)
        sys.exit(2)
    except typer.Exit as done:
        code = done.exit_code
    except (typer.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except PermissionError as error:  # of a folder that may not be entered
        place = error.filename or "a file"
        print(f"kdsearch: {place}: {error.strerror}; ask its owner for leave", file=sys.stderr)
        sys.exit(2)
    except Exception as error:
        if not hasattr(error, "show"):  # click's usage errors, which typer brings its own copy of
            raise
        error.show()  # type: ignore[attr-defined]
        sys.exit(2)
    if code == INTERRUPTED:  # typer makes a code of a Ctrl-C by itself, without a word
        print("kdsearch: interrupted; the same command goes on", file=sys.stderr)
    sys.exit(code if isinstance(code, int) else 0)
