//! `sg-ebpf/src/subprograms.rs` has the signature of every global function, and no file of the datapath imports one that imports
//! it back. The compiler checks that a definition has its signature; that each definition says so, it cannot.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test reports")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

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

/// The modules that `code` imports, of those that there are.
fn imports<'a>(code: &str, modules: &'a BTreeMap<String, String>) -> BTreeSet<&'a str> {
    let mut paths = Vec::new();
    for part in code.split("crate::").skip(1) {
        match part.strip_prefix('{') {
            Some(group) => {
                // Up to the end of the statement; a nested group names items of the module before it.
                let group = group.split(';').next().unwrap();
                let (mut depth, mut start) = (0, 0);
                for (at, character) in group.char_indices() {
                    match character {
                        '{' => depth += 1,
                        '}' | ',' if depth == 0 => {
                            paths.push(group[start..at].trim());
                            start = at + 1;
                        }
                        '}' => depth -= 1,
                        _ => {}
                    }
                }
            }
            None => paths.push(part.split([';', ' ', '(', ')', ',', '\n']).next().unwrap()),
        }
    }
    let longest = |path: &str| {
        let parts: Vec<&str> = path.split("::").map(str::trim).collect();
        (1..=parts.len()).rev().find_map(|many| modules.get_key_value(&parts[..many].join("::")))
    };
    paths.into_iter().filter_map(|path| Some(longest(path)?.0.as_str())).collect()
}

#[test]
fn no_file_imports_one_that_imports_it_back() {
    let modules = modules();
    let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (module, code) in &modules {
        let mut imported = imports(code, &modules);
        if let Some((parent, _)) = module.rsplit_once("::")
            && code.contains("super::")
        {
            imported.insert(parent);
        }
        imported.remove(module.as_str());
        edges.insert(module, imported);
    }
    assert!(edges["hook::tc"].contains("frame") && edges["maps"].contains("scratch"), "{edges:?}");
    // What imports nothing more can be taken away; a circle is left.
    while let Some(leaf) = edges.iter().find(|(_, imported)| imported.is_empty()).map(|(module, _)| *module) {
        edges.remove(leaf);
        for imported in edges.values_mut() {
            imported.remove(leaf);
        }
    }
    assert!(edges.is_empty(), "a circle among {:?}", edges.keys());
}

#[test]
fn imports_are_found_in_every_form() {
    let named = ["frame", "hook", "hook::tc", "maps", "view"];
    let modules = named.iter().map(|name| ((*name).to_owned(), String::new())).collect();
    let code =
        "use crate::{\n    frame::{self, Read},\n    maps, other,\n};\nfn f() { crate::hook::tc::note(); }";
    assert_eq!(imports(code, &modules), BTreeSet::from(["frame", "hook::tc", "maps"]));
    assert_eq!(imports("use crate::view;", &modules), BTreeSet::from(["view"]));
}
