"""CS09: mistakes in calling `cogseedc`."""

from __future__ import annotations

from cogseedc.diagnostics.codes.model import Code

TABLE: tuple[Code, ...] = (
    Code(
        "CS0901",
        "a file cannot be read",
        "The source, or a file that a command was given, is not there, is a folder, or may not be read.",
        "cogseedc check nothing.seed",
        "cogseedc check something.seed",
    ),
    Code(
        "CS0902",
        "a source is not UTF-8",
        "A .seed file is UTF-8 text. The message says at which byte it stops being so.",
        "printf '\\xff' | cogseedc check -",
        "iconv -f latin1 -t utf-8 old.seed > new.seed",
    ),
    Code(
        "CS0903",
        "a file of arrays does not fit",
        "`run` and `--calibration` read an .npz file with one array per input, named as the input is, all with the "
        "same batch. Arrays of Python objects are refused: reading them would run code.",
        "cogseedc run build/net images.txt",
        'numpy.savez("in.npz", image=images); cogseedc run build/net in.npz',
    ),
    Code(
        "CS0904",
        "the folder exists",
        "`new` makes a new folder and never writes into one that is there.",
        "mkdir net; cogseedc new net",
        "cogseedc new net2",
    ),
    Code(
        "CS0905",
        "an output cannot be written",
        "The place is a link, a file where a folder is wanted (or the reverse), a folder with other things in it, or "
        "the disk refuses. What was there before is whole.",
        "cogseedc build net.seed --output /etc",
        "cogseedc build net.seed --output build/net",
    ),
    Code(
        "CS0906",
        "there is no such code",
        "`explain` takes a code as messages show it, or a .seed file.",
        "cogseedc explain CS9999",
        "cogseedc explain CS0905",
    ),
    Code(
        "CS0907",
        "not a project's name",
        "A project's name is a folder's name: letters, digits, `-` and `_`, beginning with a letter.",
        "cogseedc new 'my net!'",
        "cogseedc new my-net",
    ),
    Code(
        "CS0908",
        "no such picture format",
        "`graph` takes the format from the ending of `--output`: .html .svg .dot .mmd .json",
        "cogseedc graph net.seed -o net.pdf",
        "cogseedc graph net.seed -o net.html",
    ),
    Code(
        "CS0909",
        "not one static value",
        "`--set name=value` takes a value in the syntax of the language: a number, true or false, a string, a name, "
        "a tuple.",
        'cogseedc build net.seed --set "width=16 const x = 3"',
        'cogseedc build net.seed --set width=16 --set "widths=(16, 32)"',
    ),
    Code(
        "CS0910",
        "not a rate of a gate",
        "`--rate gate=share` says for which share of the samples that reach a yes-or-no gate it is taken, from 0 to 1.",
        "cogseedc cost net.seed --rate easy=60",
        "cogseedc cost net.seed --rate easy=0.6",
    ),
    Code(
        "CS0911",
        "the weights are initial ones",
        "Neither weights nor a number for initial ones was given, so the artifact is of a network "
        "that was never trained. A note.",
        "cogseedc build net.seed",
        "cogseedc build net.seed --weights net.safetensors",
    ),
    Code(
        "CS0912",
        "a second build gives other bytes",
        "The same source, weights and options must give the same bytes, whatever the machine's language, clock and "
        "folders are. That they do not is a fault of the compiler, or the source changed meanwhile.",
        "cogseedc build net.seed --check-reproducible  # while somebody edits net.seed",
        "cogseedc build net.seed --check-reproducible",
    ),
    Code(
        "CS0913",
        "a build cannot be repeated",
        "`--check-reproducible` builds once more in a process of its own, which reads the same files.",
        "cat net.seed | cogseedc build - --output build/net --check-reproducible",
        "cogseedc build net.seed --check-reproducible",
    ),
    Code(
        "CS0914",
        "a profile that does not fit",
        "`cogseedc profile` writes beside the source what its gates decide. A build does not use it once the source or "
        "the weights are others (a note), and refuses a file that is no profile.",
        "cogseedc build net.seed  # after net.seed was edited",
        "cogseedc profile net.seed inputs.npz && cogseedc build net.seed",
    ),
    Code(
        "CS0915",
        "no such open axis",
        "`--size` gives the size of an axis that an input of the program leaves open, by its name. What the source "
        "says already is changed there; the batch N is never fixed.",
        "cogseedc build net.seed --size E=5     # and: in x: f32[N, D]",
        "cogseedc build net.seed --size D=5",
    ),
)
