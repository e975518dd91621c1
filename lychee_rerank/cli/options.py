"""The options that several commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

from lychee_rerank.images.resize import Fit

MethodChoice = Literal["auto", "generate", "yes_no"]
DtypeChoice = Literal["auto", "bfloat16", "float32"]

Query = Annotated[
    str | None, Argument(metavar="QUERY", help="What you are looking for, in one sentence; omitted with --queries.")
]
Paths = Annotated[
    list[str] | None,
    Argument(
        metavar="PATH",
        help="Files, folders or globs; - reads a list of files from stdin. Put -- before names like -a.jpg.",
    ),
]
Queries = Annotated[
    Path | None, Option(metavar="FILE", help="A text file with one query a line, all for the same pictures.")
]

Top = Annotated[int | None, Option(metavar="N", min=1, help="Keep only the best N.")]
MinScore = Annotated[float | None, Option(metavar="S", min=0, max=10, help="Keep only scores of S (0 to 10) or more.")]
Conditions = Annotated[
    bool,
    Option("--conditions", help="Score each condition of the query too, of the best 12 or of --top."),
]
Json = Annotated[Path | None, Option(metavar="FILE", help="Write the ranking as JSON; - is stdout.")]
Csv = Annotated[Path | None, Option(metavar="FILE", help="Write the ranking as CSV that Excel opens; - is stdout.")]
JsonLines = Annotated[
    Path | None,
    Option(metavar="FILE", help="Write each result as a line of JSON once it is scored; - is stdout."),
]
CopyTo = Annotated[Path | None, Option(metavar="DIR", help="Copy the pictures into this folder, named by rank.")]
LinkTo = Annotated[Path | None, Option(metavar="DIR", help="Link the pictures into this folder, named by rank.")]

Model = Annotated[
    str,
    Option(
        envvar="LYCHEE_MODEL",
        metavar="MODEL",
        help="auto: the best on this machine; demo: the built-in one; a folder; or the hub name of a downloaded one.",
    ),
]
Method = Annotated[
    MethodChoice,
    Option(
        help="generate: the model writes a score; yes_no: the probability that it says yes, several times faster; "
        "auto: generate, if the model can."
    ),
]
FitInto = Annotated[Fit, Option("--fit", help="crop: the central square of each picture; whole: all of it.")]
Instruction = Annotated[str | None, Option(metavar="TEXT", help="The task sentence for the model with method yes_no.")]
Normalize = Annotated[
    bool,
    Option("--normalize/--as-typed", help="Tidy the query (width, case, punctuation) before scoring, or not."),
]
Server = Annotated[
    str | None,
    Option(
        envvar="LYCHEE_SERVER", metavar="URL", help="Score through the vLLM server at this address instead of --model."
    ),
]
MaxConcurrency = Annotated[
    int, Option("--at-once", metavar="N", min=1, help="Pictures sent to --server at the same time.")
]
Dtype = Annotated[
    DtypeChoice,
    Option(
        help="Type of the weights; auto: bfloat16, but float32 on a CPU that cannot compute in bfloat16, if it fits."
    ),
]
Reserve = Annotated[float, Option(metavar="GIB", min=0, help="GiB of memory to leave free on each GPU.")]

Store = Annotated[
    Path | None,
    Option(
        "--store",
        "--journal",  # its former name
        envvar=["LYCHEE_STORE", "LYCHEE_JOURNAL"],
        metavar="DIR",
        readable=False,  # one that cannot be used costs only the keeping, and is said
        help="Folder where every score is kept; by default your folder for application data.",
    ),
]
Fresh = Annotated[bool, Option("--fresh", help="Score everything again.")]
Quiet = Annotated[bool, Option("--quiet", help="Show no progress.")]
