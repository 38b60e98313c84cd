"""Generated Rust: rustfmt is content, rustc compiles it without a warning, and its arrays read our bytes."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import msgpack
import numpy as np
import pytest

from catalog.codegen import Source, generate, package
from tests.codegen_cases import (
    MADE,
    every_array,
    example_sources,
    hostile_sources,
    made_types,
    run,
    same_numbers,
    written,
    written_apart,
)

if TYPE_CHECKING:
    from pathlib import Path

SERDE_DERIVE = """\
extern crate proc_macro;
use proc_macro::TokenStream;
#[proc_macro_derive(Serialize, attributes(serde))]
pub fn serialize(_: TokenStream) -> TokenStream { TokenStream::new() }
#[proc_macro_derive(Deserialize, attributes(serde))]
pub fn deserialize(_: TokenStream) -> TokenStream { TokenStream::new() }
"""
STAND_INS = {
    "serde": "pub use serde_derive::{Deserialize, Serialize};",
    "serde_bytes": """\
#[derive(Clone, Debug, PartialEq)]
pub struct ByteBuf(Vec<u8>);
impl From<Vec<u8>> for ByteBuf { fn from(raw: Vec<u8>) -> Self { ByteBuf(raw) } }
impl std::ops::Deref for ByteBuf { type Target = Vec<u8>; fn deref(&self) -> &Vec<u8> { &self.0 } }
""",
    "rmpv": "#[derive(Clone, Debug, PartialEq)] pub enum Value { Nil }",
}
RUST_MAIN = """\
mod alone;
use alone::NdArray;

fn main() {
    for path in std::env::args().skip(1) {
        let raw = std::fs::read(&path).unwrap();
        match NdArray::try_from(raw.as_slice()) {
            Ok(array) => {
                let (short, long) = (array.to_vec::<i16>().ok(), array.to_vec::<i64>().ok());
                println!("{} {:?} {short:?} {long:?}", array.dtype, array.shape);
                std::fs::write(path + ".npy", array.to_npy()).unwrap();
            }
            Err(error) => println!("error: {error}"),
        }
    }
}
"""


def test_rust_is_laid_out_as_rustfmt_does(tmp_path: Path) -> None:
    if shutil.which("rustfmt") is None:
        pytest.skip("rustfmt is not installed")
    written_apart(tmp_path / "apart", [*MADE, *made_types(200, seed=4)], "rust")
    written(tmp_path / "together", package([*hostile_sources(), *example_sources()], "rust"))
    run("rustfmt", "--edition", "2021", "--check", *tmp_path.glob("apart/*.rs"), tmp_path / "together" / "mod.rs")
    (tmp_path / "wrong.rs").write_text("pub  struct A {}\n")  # the control
    assert subprocess.run(["rustfmt", "--check", tmp_path / "wrong.rs"], capture_output=True, check=False).returncode


def stand_ins(folder: Path) -> list[object]:
    """Return rustc's options for the crates: small substitutes, as no registry may be available."""
    (folder / "serde_derive.rs").write_text(SERDE_DERIVE)
    run("rustc", "--edition=2021", "--crate-type=proc-macro", "--out-dir", folder, folder / "serde_derive.rs")
    library = next(folder.glob("*serde_derive.*[!rs]"))
    options: list[object] = ["--extern", f"serde_derive={library}", "-L", folder]
    for name, text in STAND_INS.items():
        (folder / f"{name}.rs").write_text(text)
        run("rustc", "--edition=2021", "--crate-type=rlib", "--out-dir", folder, *options, folder / f"{name}.rs")
    return [*options, *(part for name in STAND_INS for part in ("--extern", f"{name}={folder / f'lib{name}.rlib'}"))]


def test_rust_compiles_without_a_warning_and_its_arrays_read_our_bytes(tmp_path: Path) -> None:
    """With stand-ins for the crates: all but what serde derives is compiled."""
    if shutil.which("rustc") is None:
        pytest.skip("rustc is not installed")
    sources = [*hostile_sources(), *example_sources(), *(Source(sample_type=made) for made in MADE)]
    written(tmp_path / "samples", package(sources, "rust"))
    (tmp_path / "lib.rs").write_text("pub mod samples;\n")
    options = stand_ins(tmp_path)
    rustc = ["rustc", "--edition=2021", "-Dwarnings", *options]
    run(*rustc, "--crate-type=lib", "--emit=metadata", "-o", tmp_path / "lib.rmeta", tmp_path / "lib.rs")
    every = every_array()
    text = generate(every.wanted, "rust").replace("pub struct", "#[allow(dead_code)]\npub struct")
    (tmp_path / "alone.rs").write_text(text)
    (tmp_path / "main.rs").write_text(RUST_MAIN)
    run(*rustc, "-Adead_code", "-o", tmp_path / "main", tmp_path / "main.rs")
    values = msgpack.unpackb(every.raw)
    for name, raw in values.items():
        (tmp_path / name).write_bytes(raw)
    (tmp_path / "bad").write_bytes(values["fortran"][:-1])
    (tmp_path / "worse").write_bytes(values["fortran"].replace(b"(2, 3, 4)", b"(2, 3, x)"))
    lines = run(tmp_path / "main", *values, "bad", "worse", cwd=tmp_path).splitlines()
    assert lines[0].startswith("<i2 [2, 3, 4] Some([0, 12, 4, 16, 8, 20, 1, 13,")
    assert ">i8 [3] None Some([-1, 0, 1])" in lines
    assert all(line.startswith("error: ") for line in lines[-2:])
    assert not any(line.startswith("error: ") for line in lines[:-2])
    for name, array in every.values.items():
        assert same_numbers(array, np.load(tmp_path / f"{name}.npy")), name
