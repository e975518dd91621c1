"""The options of the command line: each is declared once, here, and named where it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

MethodChoice = Literal["auto", "generate", "yes_no"]
ScoringMethod = Literal["generate", "yes_no"]
Fit = Literal["crop", "whole"]

Query = Annotated[
    str | None, Argument(metavar="QUERY", help="What you are after, in one sentence; left out with --queries.")
]
Paths = Annotated[
    list[str] | None,
    Argument(
        metavar="PATH",
        help="Files, folders or globs; - reads a list of files from stdin. Put -- before names like -a.jpg.",
    ),
]
Queries = Annotated[
    Path | None, Option(metavar="FILE", help="A text file of queries, one a line, all asked of the same pictures.")
]

Top = Annotated[int | None, Option(metavar="N", min=1, help="Give only the best N.")]
MinScore = Annotated[float | None, Option(metavar="S", min=0, max=10, help="Give only scores from S (0 to 10) up.")]
Json = Annotated[Path | None, Option(metavar="FILE", help="Write the ranking as JSON; - is stdout.")]
Csv = Annotated[Path | None, Option(metavar="FILE", help="Write the ranking as CSV that Excel opens; - is stdout.")]
JsonLines = Annotated[
    Path | None, Option(metavar="FILE", help="Write each result as one line of JSON as it comes; - is stdout.")
]
CopyTo = Annotated[Path | None, Option(metavar="DIR", help="Copy the pictures into this folder, named by rank.")]
LinkTo = Annotated[Path | None, Option(metavar="DIR", help="Link the pictures into this folder, named by rank.")]

Model = Annotated[
    str,
    Option(
        envvar="LYCHEE_MODEL",
        metavar="MODEL",
        help="auto: the best on this machine; demo: the small one built in; a folder; or a hub's name of one fetched.",
    ),
]
Method = Annotated[
    MethodChoice,
    Option(
        help="generate: the model writes a score; yes_no: how sure it says yes, several times faster; "
        "auto: generate, if the model can."
    ),
]
FitInto = Annotated[Fit, Option("--fit", help="crop: the middle square of each picture; whole: all of it.")]
Instruction = Annotated[
    str | None, Option(metavar="TEXT", help="The task sentence that the model reads with method yes_no.")
]
Normalize = Annotated[
    bool,
    Option("--normalize/--as-typed", help="Tidy the query (width, case, punctuation) before scoring, or leave it."),
]
Server = Annotated[
    str | None,
    Option(
        envvar="LYCHEE_SERVER", metavar="URL", help="Score through the vLLM server at this address, not with --model."
    ),
]
MaxConcurrency = Annotated[
    int, Option("--at-once", metavar="N", min=1, help="Pictures on their way to --server at the same time.")
]
Reserve = Annotated[float, Option(metavar="GIB", min=0, help="GiB of memory to leave free on each GPU.")]

Journal = Annotated[
    Path, Option(envvar="LYCHEE_JOURNAL", metavar="DIR", help="Folder in which scores are kept as they come.")
]
Fresh = Annotated[bool, Option("--fresh", help="Score everything anew.")]
Quiet = Annotated[bool, Option("--quiet", help="Show no progress.")]
