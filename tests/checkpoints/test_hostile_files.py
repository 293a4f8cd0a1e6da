"""Files that ask for more than they hold, and tensors that are no plain arrays: one sentence, and little memory."""

import gzip
import io
import json
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_release import itself_heads, trunk
from tiny_clip import openai_state, save_pth
from torch import Tensor

import pickout
from pickout.checkpoints.saved_model import save_model
from pickout.checkpoints.weight_file import read_weights
from pickout.errors import CheckpointError, CheckpointMismatch, CheckpointUnknown, CheckpointUnsafe, RecipeError
from pickout.methods.base import Method
from pickout.methods.model import ModelSettings
from pickout.text.tokenizer import Tokenizer
from pickout.train.recipe import load_recipe

ROOM = 3 << 29
"""Bytes of address space in which a refusal must fit, beside what torch takes: one for GPUs takes far more."""


def in_little_memory(*paths: Path) -> list[str]:
    """What `pickout.load` says of each file in a process that may take `ROOM` more than its imports took."""
    code = (
        "import resource, sys, pickout, pickout.checkpoints.source\n"
        "taken = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        f"resource.setrlimit(resource.RLIMIT_AS, (taken + {ROOM}, taken + {ROOM}))\n"
        "for path in sys.argv[1:]:\n    try: print('loaded', pickout.load(path).name)\n"
        "    except pickout.errors.PickoutError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, *map(str, paths)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.splitlines()
    assert len(lines) == len(paths)
    return lines


def copies(run: Path, names: Iterable[str]) -> list[Path]:
    """The run again and again, in folders with a number."""
    return [Path(shutil.copytree(run, run.parent / f"copy-{n}")) for n, _ in enumerate(names)]


@pytest.fixture
def run(tmp_path: Path, method: Method, tokenizer: Tokenizer, settings: ModelSettings) -> Path:
    save_model(tmp_path / "run", method, tokenizer, settings, identities=5)
    return tmp_path / "run"


@pytest.mark.parametrize("twice", [False, True])
def test_an_archive_that_unpacks_to_more_than_it_holds_is_refused(tmp_path: Path, twice: bool) -> None:
    """Deflated, or one stored storage that two names of the archive's directory share."""
    whole, path = tmp_path / "whole.pth", tmp_path / "packed.pth"
    torch.save({"visual.proj": torch.zeros(1 << 26)}, whole)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for member in source.infolist():
            packed.writestr(member.filename, source.read(member))
    whole.unlink()
    if twice:
        save_pth(path, {"visual.proj": torch.zeros(100_000)})
        directory = zipfile.ZipFile(path).infolist()
        with zipfile.ZipFile(path, "a") as archive:
            largest = max(directory, key=lambda member: member.file_size)
            archive.filelist += [largest] * 4
            archive._didModify = True
    assert path.stat().st_size < 2_000_000
    assert "unpacks to" in in_little_memory(path)[0]
    with pytest.raises(CheckpointUnsafe, match=r"torch\.save does not pack"):
        read_weights(path)


class Zeros:
    """A million million zeros, by a number alone."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return bytearray, (10**12,)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_asks_for_memory_by_a_number_is_refused(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "model.pth"
    torch.save({"a": torch.zeros(1), "b": Zeros()}, path, _use_new_zipfile_serialization=zipped)
    assert "it asks for 'builtins.bytearray'" in in_little_memory(path)[0]


def test_tensors_that_share_one_storage_many_times_are_refused(tmp_path: Path) -> None:
    shared = torch.zeros(10_000, dtype=torch.float16)
    path = save_pth(tmp_path / "model.pth", {f"layer.{n}": shared for n in range(100)})
    with pytest.raises(CheckpointUnknown, match="its tensors ask for 2,000,000 bytes, the file has"):
        read_weights(path)


ODD: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "sparse": (lambda tensor: tensor.to_sparse(), "is sparse"),
    "compressed": (lambda tensor: tensor.to_sparse_csr(), "is sparse"),
    "quantised": (lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8), "is of qint8"),
    "nested": (lambda tensor: torch.nested.nested_tensor([tensor, tensor]), "is a nested tensor"),
    "meta": (lambda tensor: tensor.to("meta"), "is a tensor without content"),
    "expanded": (lambda tensor: tensor[:1, :1].clone().expand(tensor.shape), "is expanded to"),
    "complex": (lambda tensor: tensor.to(torch.complex64), "is of complex64"),
    "eight bits": (lambda tensor: tensor.to(torch.float8_e4m3fn), "is of float8_e4m3fn"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("key", ["visual.proj", "token_embedding.weight"])
def test_tensors_that_are_no_plain_arrays_are_one_sentence(tmp_path: Path, merges: Path, kind: str, key: str) -> None:
    change, message = ODD[kind]
    state = openai_state()
    path = save_pth(tmp_path / "odd.pth", state | {key: change(state[key])})
    with pytest.raises(CheckpointUnknown, match=f"'{key}' {message}"):
        pickout.load(path)


@pytest.mark.parametrize("kind", [torch.complex64, torch.float8_e5m2])
def test_odd_numbers_in_safetensors_are_refused_too(tmp_path: Path, kind: torch.dtype) -> None:
    path = tmp_path / "odd.safetensors"
    state = openai_state()
    save_file(state | {"visual.proj": state["visual.proj"].to(kind)}, path)
    with pytest.raises(CheckpointUnknown, match=r"'visual\.proj' is of"):
        pickout.load(path)


def test_parameters_are_tensors(tmp_path: Path, merges: Path) -> None:
    path = save_pth(tmp_path / "model.pth", {k: torch.nn.Parameter(t) for k, t in openai_state().items()})
    pickout.load(path).report.require_complete()


def kinds_of(state: dict[str, Tensor]) -> list[str]:
    """One key of every kind of a state dict: numbers of layers taken out."""
    return list({"".join(letter for letter in key if not letter.isdigit()): key for key in state}.values())


def test_whole_numbers_never_load_as_weights(tmp_path: Path, merges: Path) -> None:
    whole, path = trunk() | itself_heads(), tmp_path / "odd.safetensors"
    numbers = [torch.int8, torch.uint8, torch.int32, torch.int64, torch.bool]
    for turn, key in enumerate(kinds_of(whole)):
        if "num_batches" in key or "visul_emb_layer.linear" in key or "bns.1" in key:
            continue  # A count, and what the released program never calls.
        save_file(whole | {key: (whole[key] * 100).to(numbers[turn % 5])}, path)
        with pytest.raises(CheckpointMismatch) as caught:
            pickout.load(path)
        assert f"{key} (" in str(caught.value), key
    for kind in numbers:
        save_file({key: (tensor * 100).to(kind) for key, tensor in whole.items()}, path)
        with pytest.raises(CheckpointMismatch, match="of another shape or kind"):
            pickout.load(path)


def test_weights_as_counts_are_refused(tmp_path: Path, merges: Path) -> None:
    count = "visul_emb_layer.mlp.bns.0.num_batches_tracked"
    path = save_pth(tmp_path / "odd.pth", trunk() | itself_heads() | {count: torch.tensor(3.5)})
    with pytest.raises(CheckpointMismatch, match=rf"{count} \(float32, expected int64\)"):
        pickout.load(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_named(tmp_path: Path, merges: Path, value: float) -> None:
    state = openai_state()
    state["visual.transformer.resblocks.1.mlp.c_fc.weight"][3, 4] = value
    path = save_pth(tmp_path / "odd.pth", state)
    with pytest.raises(
        CheckpointMismatch, match=r"visual\.transformer\.resblocks\.1\.mlp\.c_fc\.weight \(not finite\)"
    ):
        pickout.load(path)


@pytest.mark.parametrize("key", [key for key in kinds_of(openai_state()) if key != "logit_scale"])
@pytest.mark.parametrize("shape", ["nothing", "no axis", "a number", "none of the last"])
def test_zero_sized_tensors_are_one_sentence(tmp_path: Path, merges: Path, key: str, shape: str) -> None:
    state = openai_state()
    old = tuple(state[key].shape)
    new = {"nothing": (0, *old[1:]), "no axis": (), "a number": (1,), "none of the last": (*old[:-1], 0)}[shape]
    path = tmp_path / "odd.safetensors"
    save_file(state | {key: torch.zeros(new)}, path)
    with pytest.raises(CheckpointError):
        pickout.load(path)


@pytest.mark.parametrize("rows", [0, 1, 3, 20_000])
def test_captions_of_no_or_endless_length_are_refused(tmp_path: Path, merges: Path, rows: int) -> None:
    path = tmp_path / "odd.safetensors"
    save_file(openai_state() | {"positional_embedding": torch.zeros(rows, 64)}, path)
    with pytest.raises(CheckpointMismatch):
        pickout.load(path)


def changed_tokenizer(run: Path, change: Callable[[dict], object]) -> None:
    """Change a run's tokenizer, and take the hash out of the weights."""
    file = run / "tokenizer.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    save_file(load_file(run / "model.safetensors"), run / "model.safetensors")


IDS: dict[str, Callable[[dict], object]] = {
    "2^31": lambda c: c["backend"]["model"]["vocab"].update({"!": 1 << 31}),
    "2^32 - 1": lambda c: c["backend"]["model"]["vocab"].update({"!": (1 << 32) - 1}),
    "negative": lambda c: c["backend"]["model"]["vocab"].update({"!": -1}),
    "a gap": lambda c: c["backend"]["model"]["vocab"].update({"!": len(c["backend"]["model"]["vocab"])}),
    "twice": lambda c: c["backend"]["model"]["vocab"].update({"!": 7}),
    "no number": lambda c: c["backend"]["model"]["vocab"].update({"!": "0"}),
    "true": lambda c: c["backend"]["model"]["vocab"].update({'"': True}),
    "missing": lambda c: c["backend"]["model"]["vocab"].pop("!"),
    "special": lambda c: c["special"].update(mask=1 << 31),
    "special below": lambda c: c["special"].update(start=-1),
    "special text": lambda c: c["special"].update(end="end"),
    "added": lambda c: c["backend"]["added_tokens"].append({"id": 4_000_000_000, "content": "x", "special": True}),
    "padding": lambda c: c["backend"].update(padding={"strategy": {"Fixed": 1 << 40}, "direction": "Right"}),
    "context 0": lambda c: c.update(context=0),
    "context 1": lambda c: c.update(context=1),
    "context 2^40": lambda c: c.update(context=1 << 40),
    "context true": lambda c: c.update(context=True),
    "no words": lambda c: c["backend"]["model"].update(vocab=[]),
}


def test_a_tokenizer_with_other_ids_is_one_sentence(run: Path) -> None:
    runs = copies(run, IDS)
    for copy, change in zip(runs, IDS.values(), strict=True):
        changed_tokenizer(copy, change)
    for what, told in zip(IDS, in_little_memory(*runs), strict=True):
        assert "tokenizer.json: not a Pickout tokenizer" in told, (what, told)


def test_a_changed_tokenizer_is_refused_before_it_is_looked_into(run: Path) -> None:
    (run / "tokenizer.json").write_text("[" * 1_000_000)
    with pytest.raises(CheckpointMismatch, match="not the tokenizer that the weights beside it were trained with"):
        pickout.load(run)


@pytest.mark.parametrize(
    ("file", "lines"),
    [
        ("vocab.txt", ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "red", "hat"]),
        ("merges.txt", ["#", "r e", "re d", "r e"]),
    ],
)
def test_an_entry_that_comes_twice_leaves_a_gap_and_is_refused(tmp_path: Path, file: str, lines: list[str]) -> None:
    from pickout.errors import DataError
    from pickout.text.build import clip_tokenizer, wordpiece_tokenizer

    (tmp_path / file).write_text("\n".join([*lines, "b l"] if file == "merges.txt" else lines))
    with pytest.raises(DataError, match=r"'re?d?' comes twice"):
        (wordpiece_tokenizer if file == "vocab.txt" else clip_tokenizer)(tmp_path / file)


def test_merges_that_unpack_without_end_are_refused(tmp_path: Path) -> None:
    save_file(openai_state(), tmp_path / "model.safetensors")
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb") as file:
        for _ in range(256):
            file.write(bytes(1 << 20))
    (tmp_path / "bpe_simple_vocab_16e6.txt.gz").write_bytes(packed.getvalue())
    assert "more than 67,108,864 bytes, which no such file has" in in_little_memory(tmp_path / "model.safetensors")[0]


DEEP = {
    "a dotted key": ".".join(["a"] * 50_000) + " = 1",
    "a header": "[" + ".".join(["a"] * 50_000) + "]\nb = 1",
    "a quoted key": ".".join(['"a"'] * 50_000) + " = 1",
    "arrays": "a = " + "[" * 50_000 + "]" * 50_000,
    "tables": "a = " + "{b = " * 50_000 + "1" + "}" * 50_000,
    "tables of a few": "".join(f"[{'.'.join(['a'] * 10 + ['b'] * n)}]\n" for n in range(1, 8)) + "c = 1",
    "a long number": "a = " + "9" * 5000,
    "a number of 40 digits": "[model]\na = " + "9" * 40,
}


def test_settings_nested_without_end_are_one_sentence(run: Path, tmp_path: Path, repository: Path) -> None:
    runs = copies(run, DEEP)
    for copy, text in zip(runs, DEEP.values(), strict=True):
        (copy / "model.toml").write_text(text)
        (copy / "recipe.toml").write_text(text)
        with pytest.raises(RecipeError, match=r"recipe\.toml"):
            load_recipe(copy / "recipe.toml")
        with pytest.raises(RecipeError):
            load_recipe(repository / "recipes" / "smoke.toml", [text.splitlines()[-1].replace(" = ", "=", 1)])
    for what, told in zip(DEEP, in_little_memory(*runs), strict=True):
        assert "model.toml: " in told and len(told) < 5000, (what, told)


SIZES = [
    ("layers = 2", "layers = 100000"),
    ("layers = 2", "layers = 999"),
    ("width = 32", "width = 1000000000000"),
    ("width = 32", "width = 1000000"),
    ("height = 48", "height = 4611686018427387904"),
    ("identities = 5", "identities = 1000000000000"),
    ("local_dimension = 24", "local_dimension = 4611686018427387904"),
    ("patch = 8", "patch = 0"),
]


def test_sizes_are_held_against_the_tensors_before_anything_is_built(run: Path) -> None:
    text = (run / "model.toml").read_text()
    runs = copies(run, [old for old, _ in SIZES])
    for copy, (old, new) in zip(runs, SIZES, strict=True):
        assert old in text
        (copy / "model.toml").write_text(text.replace(old, new))
    for (_, new), told in zip(SIZES, in_little_memory(*runs), strict=True):
        assert "copy-" in told and "loaded" not in told, (new, told)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("seed=" + "9" * 40, "seed"),
        ("seed=4294967296", "seed"),
        ("model.vision.layers=100000", r"model\.vision\.layers"),
        ("model.vision.width=1000000", "ask for .* GB at least"),
        ("model.text.width=1048576", "ask for .* GB at least"),
        ("sampler.batch=1000000000", "ask for .* GB at least"),
        ("model.image.height=1000000000", "less than or equal to 4096"),
        ("schedule.epochs=" + "9" * 30, "64 bits"),
        ("data.workers=1000000", r"data\.workers"),
        ("augmentation.pad=1000000000", r"augmentation\.pad"),
    ],
)
def test_a_recipe_that_no_machine_can_hold_is_refused_at_once(repository: Path, change: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe(repository / "recipes" / "smoke.toml", [change])


def test_the_largest_seed_is_taken(repository: Path) -> None:
    assert load_recipe(repository / "recipes" / "smoke.toml", ["seed=4294967295"]).seed == 2**32 - 1


@pytest.mark.parametrize("name", ["model.safetensors", "model.toml", "tokenizer.json"])
def test_a_git_lfs_pointer_in_a_run_says_how_to_fetch_the_file(run: Path, name: str) -> None:
    (run / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 123\n")
    with pytest.raises(CheckpointError, match=rf"{name}.*Git LFS pointer.*git lfs pull"):
        pickout.load(run)


@pytest.mark.parametrize("name", ["bpe_simple_vocab_16e6.txt.gz", "merges.txt", "tokenizer.json"])
def test_a_git_lfs_pointer_beside_foreign_weights_says_so_too(tmp_path: Path, name: str) -> None:
    save_file(openai_state(), tmp_path / "model.safetensors")
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 123\n")
    with pytest.raises(CheckpointError, match=r"Git LFS pointer.*git lfs pull"):
        pickout.load(tmp_path / "model.safetensors")


def test_equal_models_are_equal_files(
    tmp_path: Path, method: Method, tokenizer: Tokenizer, settings: ModelSettings
) -> None:
    for name in "abcdefgh":
        save_model(tmp_path / name, method, tokenizer, settings, identities=5, name="the same")
    for file in ("model.safetensors", "model.toml", "tokenizer.json"):
        assert len({(tmp_path / name / file).read_bytes() for name in "abcdefgh"}) == 1, file
    assert len(load_file(tmp_path / "a" / "model.safetensors")) == len(method.state_dict())


def test_keys_of_a_file_are_printed_without_control(tmp_path: Path, merges: Path) -> None:
    path = tmp_path / "odd.safetensors"
    save_file(openai_state() | {"\x1b[2Jgone": torch.zeros(1)}, path)
    with pytest.raises(CheckpointMismatch) as caught:
        pickout.load(path)
    assert "1 left over: \N{REPLACEMENT CHARACTER}[2Jgone" in str(caught.value)


def test_keys_of_a_pickle_may_be_anything(tmp_path: Path) -> None:
    key: tuple = ()
    for _ in range(100_000):
        key = (key,)
    path = tmp_path / "odd.pkl"
    path.write_bytes(b"\x80\x02}q\x00" + b"(" + b")" + b"\x85" * 900 + b"K\x01u.")
    assert pickle.loads(path.read_bytes())
    with pytest.raises(CheckpointError):
        read_weights(path)
