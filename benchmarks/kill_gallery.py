"""kill -9 at random moments of changing a gallery: is it opened again, is each acknowledged row there, is none half?

    python benchmarks/kill_gallery.py [--kills 50] [--kinds add,erase,...] [--writers 2] [--seed 0] [--every-step]
                                      [--out FOLDER --machine NAME]

A process changes a gallery as it is asked and is killed at a moment drawn uniformly over the time that such a change
takes, until `--kills` of them fell inside. After each kill a fresh process reads every row, searches, verifies,
makes another change and reads again. With `--every-step` a library that is compiled with `cc` and loaded into the
process kills it before its first change of the file system, then before its second, and so on to the last. Exit code 1
where anything was lost, half-written or came back.
"""

import argparse
import os
import platform
import shlex
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from kills.model import OPERATIONS
from kills.process import counting_library
from kills.trial import Tally, Trial

_MOST_STEPS = 2000


def main() -> None:
    options = arguments()
    kinds = [each for each in options.kinds.split(",") if each]
    if unknown := set(kinds) - set(OPERATIONS):
        sys.exit(f"--kinds: unknown {sorted(unknown)}; known are {', '.join(OPERATIONS)}")
    lines, bad = [HEADER], False
    print(HEADER, flush=True)
    for kind in kinds if options.writers == 1 else [f"{options.writers} writers"]:
        began = time.monotonic()
        tally = every_step(kind, options.seed) if options.every_step else at_random(kind, options)
        lines.append(f"{line(kind, tally)} {time.monotonic() - began:5.0f} s")
        print(lines[-1], flush=True)
        more = [f"    {count:4d} {name}" for name, count in tally.phases.most_common()]
        seen = tally.visible[True]
        more.append(f"    signs of rows that are there: {seen} of {seen + tally.visible[False]} seen in the files")
        lines += more
        print("\n".join(more), flush=True)
        told = [*tally.wrong.lost, *tally.wrong.half, *tally.wrong.came_back]
        print("".join(f"  ! {each}\n" for each in told[:20]), end="", file=sys.stderr)
        bad |= bool(told)
    if options.out:
        write(options.out, options.machine, lines)
    sys.exit(bad)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="for each kind, counting those inside the change")
    parser.add_argument("--kinds", default=",".join(OPERATIONS))
    parser.add_argument("--writers", type=int, default=1, help="processes at once, all killed at moments of their own")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every-step", action="store_true", help="before each change of the file system instead")
    parser.add_argument("--out", type=Path, help="folder for a results file")
    parser.add_argument("--machine", default=f"{platform.machine()}-{os.cpu_count()}cpu", help="its name in the file")
    return parser.parse_args()


def at_random(kind: str, options: argparse.Namespace) -> Tally:
    """Kill at random moments until enough of them fell inside the operation."""
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        # An index needs many rows, and a change of model makes another writer begin again.
        alone = {"approximate"} - {kind} | ({"rebuild"} if options.writers > 1 else set())
        trial = Trial(Path(folder), set(OPERATIONS) - alone, options.seed, writers=options.writers)
        try:
            while trial.tally.inside < options.kills:
                trial.kill(kind)
        finally:
            trial.close()
        return trial.tally


def every_step(kind: str, seed: int) -> Tally:
    """Kill before the first change of the file system, before the second, and so on until the operation ends."""
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        library = counting_library(Path(folder))
        if library is None:
            sys.exit("--every-step needs a C compiler called cc")
        trial = Trial(Path(folder), ["add", kind], seed, preload=library)
        try:
            for step in range(1, _MOST_STEPS):
                if not trial.kill(kind, step):
                    break
            else:
                sys.exit(f"{kind}: not done after {_MOST_STEPS} changes of the file system")
        finally:
            trial.close()
        return trial.tally


HEADER = f"{'kind':12} {'kills':>5} {'inside':>6} {'rows acknowledged':>17} {'lost':>5} {'half':>5} {'came back':>9}"


def line(kind: str, tally: Tally) -> str:
    wrong = tally.wrong
    return (
        f"{kind:12} {tally.kills:5d} {tally.inside:6d} {tally.rows:17d} {len(wrong.lost):5d} {len(wrong.half):5d} "
        f"{len(wrong.came_back):9d}"
    )


def write(folder: Path, machine: str, lines: list[str]) -> None:
    """Add this run to the results of the day."""
    day = datetime.now(UTC).date().isoformat()
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"kill_gallery_{machine}_{day}.md"
    command = f"python benchmarks/kill_gallery.py {shlex.join(sys.argv[1:])}".strip()
    load = f"{os.cpu_count()} logical CPUs, load average {os.getloadavg()[0]:.1f} from this and other work"
    before = file.read_text() if file.exists() else "# kill -9 inside changes of a gallery\n"
    file.write_text(f"{before}\n`{command}`, {day}, {load}\n\n```\n" + "\n".join(lines) + "\n```\n")
    print(f"written to {file}")


if __name__ == "__main__":
    main()
