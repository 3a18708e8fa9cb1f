//! `sg-ebpf/src/subprograms.rs` has the signature of every global function. The compiler checks that a definition has its
//! signature; that each definition says so, it cannot.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test reports")]

use std::{collections::BTreeMap, fs, path::Path};

/// The files of the datapath by their module, `hook::tc` for example, without comments.
fn modules() -> BTreeMap<String, String> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../sg-ebpf/src"));
    let mut files = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(root).unwrap().with_extension("");
            let name = name.to_str().unwrap().replace('/', "::");
            let text = fs::read_to_string(&path).unwrap();
            let code = text.lines().map(|line| line.split("//").next().unwrap_or(""));
            let code: Vec<&str> = code.collect();
            files.insert(name.trim_end_matches("::mod").to_owned(), code.join("\n"));
        }
    }
    files
}

#[test]
fn every_global_function_has_a_signature() {
    let modules = modules();
    let list = &modules["subprograms"];
    let mut functions = 0;
    for (module, code) in &modules {
        let definitions = code.split("#[unsafe(no_mangle)]").skip(1);
        for definition in definitions.filter(|definition| definition.contains("extern \"C\" fn")) {
            let Some((head, rest)) = definition.split_once("extern \"C\" fn ") else { continue };
            // What is not a function is between this mark and the next function.
            if head.contains("static ") {
                continue;
            }
            let name = rest.split('(').next().unwrap();
            let tie = format!(" = {name};");
            let mut ties = code.lines().filter(|line| line.ends_with(&tie));
            let signature = ties.find_map(|line| line.trim().strip_prefix("const _: subprograms::"));
            let signature = signature.unwrap_or_else(|| panic!("{module}: {name} has no signature"));
            let signature = signature.split(['<', ' ']).next().unwrap();
            let is_listed = ["<", " "].iter().any(|end| list.contains(&format!("pub type {signature}{end}")));
            assert!(is_listed, "{module}: {signature} of {name} is not in subprograms.rs");
            functions += 1;
        }
    }
    assert!(functions > 40, "only {functions} global functions");
}
