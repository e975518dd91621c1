"""The options of the command line: each is declared once, here, and named where it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

MethodChoice = Literal["auto", "generate", "yes_no"]
ScoringMethod = Literal["generate", "yes_no"]
Fit = Literal["crop", "whole"]

Query = Annotated[str, Argument(help="What you are after, in one sentence; left out with --queries.")]
Paths = Annotated[
    list[str] | None, Argument(metavar="PATH...", help="Files, folders or globs; - reads a list of files from stdin.")
]
Queries = Annotated[Path | None, Option(help="A file of queries, one a line, all asked of the same pictures.")]

Top = Annotated[int | None, Option(min=1, help="Give only the best N.")]
MinScore = Annotated[float | None, Option(min=0, max=10, help="Give only scores from here up.")]
Json = Annotated[Path | None, Option(help="Write the ranking as JSON; - is stdout.")]
Csv = Annotated[Path | None, Option(help="Write the ranking as CSV that Excel opens; - is stdout.")]
JsonLines = Annotated[Path | None, Option(help="Write each result as one line of JSON as it comes; - is stdout.")]
CopyTo = Annotated[Path | None, Option(help="Copy the pictures into this folder, named by rank.")]
LinkTo = Annotated[Path | None, Option(help="Link the pictures into this folder, named by rank.")]

Model = Annotated[str, Option(envvar="LYCHEE_MODEL", help="auto, demo, a folder, or a hub id on this machine.")]
Method = Annotated[MethodChoice, Option(help="How to score; auto asks the checkpoint.")]
FitInto = Annotated[Fit, Option("--fit", help="crop: the middle square; whole: all of the picture.")]
Instruction = Annotated[str | None, Option(help="The task sentence that the model reads with method yes_no.")]
Normalize = Annotated[bool, Option("--normalize/--as-typed", help="Whether the query is normalised.")]
Server = Annotated[
    str | None, Option(envvar="LYCHEE_SERVER", help="Score through the vLLM server at this address, not with --model.")
]
AtOnce = Annotated[int, Option(min=1, help="Pictures in flight with --server.")]
Reserve = Annotated[float, Option(min=0, help="GiB of memory to leave free on each GPU.")]

Journal = Annotated[Path, Option(envvar="LYCHEE_JOURNAL", help="Folder in which scores are kept as they come.")]
Fresh = Annotated[bool, Option("--fresh", help="Score everything anew.")]
Quiet = Annotated[bool, Option("--quiet", help="Show no progress.")]
